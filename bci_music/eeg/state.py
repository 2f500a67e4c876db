"""State as a value: what an object needs to go on exactly where it stopped."""

from __future__ import annotations

import copy
from typing import Any, ClassVar


class Stateful:
    """Save and restore the attributes named in `_state_fields`; parts that are `Stateful` nest.

    The saved value is a plain dictionary of arrays and numbers: it can be pickled and shares nothing with the object.
    """

    _state_fields: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """Everything that changes while running, as a value of its own."""
        saved: dict[str, Any] = {}
        for name in self._state_fields:
            value = getattr(self, name)
            saved[name] = value.state() if isinstance(value, Stateful) else copy.deepcopy(value)
        return saved

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state of an object built with the same parameters."""
        if set(state) != set(self._state_fields):
            raise ValueError(f"this is no state of a {type(self).__name__}: it holds {sorted(state)}")
        for name, value in state.items():
            mine = getattr(self, name)
            if isinstance(mine, Stateful):
                mine.restore(value)
            else:
                setattr(self, name, copy.deepcopy(value))
