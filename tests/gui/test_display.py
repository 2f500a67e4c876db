import pytest

from bci_music.messages import UserError
from gui import app as display


def test_no_screen_is_one_sentence():
    with pytest.raises(UserError, match=r"--headless") as caught:
        display.check_display({}, "linux")
    assert "\n" not in str(caught.value)


def test_other_platforms_and_screenless_qt_pass():
    for environment, platform in (({}, "darwin"), ({}, "win32"), ({"QT_QPA_PLATFORM": "offscreen"}, "linux"),
                                  ({"WAYLAND_DISPLAY": "wayland-0"}, "linux")):  # fmt: skip
        display.check_display(environment, platform)()


def test_missing_cursor_library_is_named(monkeypatch):
    monkeypatch.setattr(display, "_loads", lambda name: name != "libxcb-cursor.so.0")
    with pytest.raises(UserError, match="apt install libxcb-cursor0"):
        display.check_display({"DISPLAY": ":0"}, "linux")


def test_dead_screen_is_named():
    if not (display._loads("libxcb.so.1") and display._loads("libxcb-cursor.so.0")):
        pytest.skip("the X libraries are not installed")
    with pytest.raises(UserError, match="':6543' does not answer"):
        display.check_display({"DISPLAY": ":6543"}, "linux")
