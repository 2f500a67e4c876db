"""What the config of every type of generator can do: say whether there is one to open, and open it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from bci_music.config import Config

if TYPE_CHECKING:
    from bci_music.clock import Clock
    from bci_music.models.pack import Pack
    from bci_music.sound.generator import Generator


class GeneratorConfig(Config):
    """Base of the configs in the registry (`generation/open.py`)."""

    @abstractmethod
    def available(self, pack: Pack | None) -> bool:
        """Whether `auto` may take it: what it needs is given here, or the pack brings it and plays it by default."""

    @abstractmethod
    def open(self, pack: Pack | None = None, clock: Clock | None = None) -> Generator:
        """Load it.

        Parameters
        ----------
        pack : Pack, optional
            The pack whose vectors it is to follow; None where it is used by itself.
        clock : Clock, optional
            The clock deadlines are on.
        """
