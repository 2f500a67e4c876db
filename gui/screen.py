"""Whether a window can open here: asked before Qt, which ends the process when it cannot."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bci_music.files import shown
from bci_music.messages import UserError

WITHOUT_SCREEN = ("offscreen", "minimal", "vnc", "eglfs", "linuxfb")
KNOWN = ("xcb", "offscreen", "minimal")  # platforms that start once their plugin loads and the X server answers
OR = "or run with --headless"
PROBE_S = 30.0


def check_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Callable[[], None]:
    """Raise `UserError` if no window can open: asked before Qt, which ends the process when it cannot.

    Linux only, other systems always have a screen.

    Returns
    -------
    callable
        Call it once Qt is connected: an X server may start again when its only client, our probe, leaves.
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


def why_no_window() -> str:
    """Say in a sentence why no window can open here, "" where one can.

    Qt ends the process it cannot start in. On Linux its plugin for the screen is loaded first, which finds a missing
    library at once; where that does not tell, Qt is started in another process.
    """
    try:
        check_display()()
    except UserError as error:
        return str(error)
    if not sys.platform.startswith("linux"):
        return ""
    chosen = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] or ("" if os.environ.get("WAYLAND_DISPLAY") else "xcb")
    if chosen not in KNOWN:
        return _try_qt()
    try:
        from PySide6 import QtWidgets

        ctypes.CDLL(str(Path(QtWidgets.__file__).parent / f"Qt/plugins/platforms/libq{chosen}.so"))
    except (ImportError, OSError) as error:
        return _cannot(str(error))
    return ""


def _try_qt() -> str:
    """Start Qt in another process; says what came of it as `why_no_window`."""
    code = "from PySide6.QtWidgets import QApplication; QApplication(['probe'])"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        return f"Qt did not start within {PROBE_S:.0f} s: check the screen {OR}."
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else _cannot(lines[-1] if lines else f"code {done.returncode}")


def _cannot(reason: str) -> str:
    return f"Qt cannot start ({shown(reason)}): `make system` installs what it needs {OR}."


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
