"""Whether a window can open here: asked before Qt, which ends the process when it cannot."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Mapping

from bci_music.messages import UserError

WITHOUT_SCREEN = ("offscreen", "minimal", "vnc", "eglfs", "linuxfb")
HEADLESS = "or run with --headless"


def check_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> None:
    """Raise `UserError` if no window can open; Linux only, other systems always have a screen."""
    if not platform.startswith("linux"):
        return
    chosen = environment.get("QT_QPA_PLATFORM", "").split(":")[0]
    if chosen in WITHOUT_SCREEN:
        return
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        raise UserError(f"There is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set): log in to a desktop {HEADLESS}.")
    if environment.get("WAYLAND_DISPLAY") and chosen != "xcb":
        return
    if not _loads("libxcb-cursor.so.0"):
        raise UserError(f"Qt needs the system library libxcb-cursor: install it (apt install libxcb-cursor0) {HEADLESS}.")
    if not _answers(environment["DISPLAY"]):
        raise UserError(f"The screen {environment['DISPLAY']} does not answer: check DISPLAY {HEADLESS}.")


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _answers(display: str) -> bool:
    """Whether an X server takes a connection."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True  # Qt brings its own: let it say what it finds
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(display.encode(), None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed
