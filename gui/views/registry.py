"""All views there are."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gui.views.view import View

VIEWS = (  # the first that fits is shown
    "gui.views.calibrate.Calibrate",
    "gui.views.monitor.Monitor",
    "gui.views.perform.Perform",
    "gui.views.study.Study",
)


def view_classes() -> tuple[type[View], ...]:
    """Return the classes of all views."""
    found = []
    for path in VIEWS:
        module, _, name = path.rpartition(".")
        found.append(getattr(import_module(module), name))
    return tuple(found)
