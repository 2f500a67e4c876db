import pytest

from bci_music.messages import UserError
from gui import screen as display


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


def test_a_qt_that_cannot_start_is_one_sentence(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "minimal")  # needs no screen
    assert display.why_no_window() == ""
    monkeypatch.setenv("QT_QPA_PLATFORM", "no-such-platform")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-9")
    sentence = display.why_no_window()
    assert sentence.startswith("Qt cannot start (")
    assert "\n" not in sentence
    monkeypatch.delenv("QT_QPA_PLATFORM")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":6543")
    assert "--headless" in display.why_no_window()


def test_dead_screen_is_named():
    if not (display._loads("libxcb.so.1") and display._loads("libxcb-cursor.so.0")):
        pytest.skip("the X libraries are not installed")
    with pytest.raises(UserError, match="':6543' does not answer"):
        display.check_display({"DISPLAY": ":6543"}, "linux")
