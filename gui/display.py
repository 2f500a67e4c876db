"""Whether a window can open here: asked before Qt, which ends the process when it cannot."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping

from bci_music.messages import UserError

WITHOUT_SCREEN = ("offscreen", "minimal", "vnc", "eglfs", "linuxfb")
OR = "or run with --headless"


def check_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Callable[[], None]:
    """Raise `UserError` if no window can open; Linux only, other systems always have a screen.

    Returns
    -------
    callable
        Call it once Qt is connected: an X server may start anew when its only client, our probe, leaves.
    """
    chosen = environment.get("QT_QPA_PLATFORM", "").split(":")[0]
    if not platform.startswith("linux") or chosen in WITHOUT_SCREEN:
        return _nothing
    screen, wayland = environment.get("DISPLAY", ""), environment.get("WAYLAND_DISPLAY", "")
    if not screen and not wayland:
        raise UserError(f"There is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set): log in to a desktop {OR}.")
    if wayland and chosen != "xcb":
        return _nothing
    if not _loads("libxcb-cursor.so.0"):
        raise UserError(f"Qt needs the library libxcb-cursor: install it (apt install libxcb-cursor0) {OR}.")
    return _connect(screen)


def _nothing() -> None:
    """Let go of nothing."""


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _connect(screen: str) -> Callable[[], None]:
    """Connect to an X server as Qt will; returns what ends the connection."""
    if not _loads("libxcb.so.1"):
        raise UserError(f"Qt needs the library libxcb: install it (apt install libxcb1) {OR}.")
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(screen.encode(), None)
    if xcb.xcb_connection_has_error(connection):
        xcb.xcb_disconnect(connection)
        raise UserError(f"The screen {screen!r} does not answer: check DISPLAY {OR}.")
    return lambda: xcb.xcb_disconnect(connection)
