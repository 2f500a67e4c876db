"""Both themes: contrast of text and marks, states apart for every kind of eye, all painted again when it changes."""

from itertools import combinations

import numpy as np
import pytest
from PySide6.QtCore import Qt

from gui import theme
from gui.bridge import Bridge
from gui.main_window import MainWindow

THEMES = sorted(theme.PALETTES)
# Machado, Oliveira and Fernandes 2009, severity 1: what is left of linear red, green and blue
EYES = {
    "all cones": np.eye(3),
    "no red cones": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                              [-0.003882, -0.048116, 1.051998]]),
    "no green cones": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                                [-0.011820, 0.042940, 0.968881]]),
}  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    share = np.array(theme.rgb(colour)) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def lab(colour, eye):
    xyz = XYZ @ np.clip(EYES[eye] @ linear(colour), 0, 1) / (XYZ @ np.ones(3))
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture(autouse=True)
def dark_again():
    yield
    theme.use("dark")


@pytest.mark.parametrize("name", THEMES)
def test_text_has_a_contrast_of_4_5_and_marks_of_3(name):
    p = theme.PALETTES[name]
    words = (p.text, p.muted, p.dim, p.accent, p.warm, p.bad, p.good)
    low = {(w, g): contrast(w, g) for w in words for g in (p.ground, p.panel)}
    low |= {(w, p.track): contrast(w, p.track) for w in (p.text, p.muted)}
    low[p.ground, p.accent] = contrast(p.ground, p.accent)  # the view that is shown
    assert {pair: round(c, 2) for pair, c in low.items() if c < 4.5} == {}
    marks = {m: contrast(m, p.panel) for m in (*p.regions, *p.songs)}
    assert {m: round(c, 2) for m, c in marks.items() if c < 3} == {}


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("eye", EYES)
def test_what_is_told_by_colour_stays_apart(name, eye):
    p = theme.PALETTES[name]
    for group, apart in (((p.good, p.warm, p.bad), 10.0), (p.regions, 6.0)):
        near = {pair: np.linalg.norm(lab(pair[0], eye) - lab(pair[1], eye)) for pair in combinations(group, 2)}
        assert {pair: round(float(d), 1) for pair, d in near.items() if d < apart} == {}


def test_attention_goes_one_way_from_the_panel(qapp):
    for name in THEMES:
        theme.use(name)
        table = theme.attention_table()
        light = [luminance(f"#{int(value) & 0xFFFFFF:06x}") for value in table[::8]]
        steps = np.diff(light)
        assert (steps > 0).all() or (steps < 0).all()


def test_the_key_paints_everything_again(qtbot, engine, qapp):
    window = MainWindow(Bridge(engine), "test")
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    share = []
    for key in (None, Qt.Key.Key_T, Qt.Key.Key_T):
        if key is not None:
            qtbot.keyClick(window, key)
        for _ in range(30):
            engine.advance(1 / 60)
            window.tick()
        image = window.grab().toImage()
        seen = [image.pixelColor(x, y).lightness() for x in range(0, 1600, 8) for y in range(0, 900, 8)]
        share.append(np.mean(np.array(seen) > 128))
    assert share[0] < 0.15
    assert share[1] > 0.75
    assert share[2] == pytest.approx(share[0], abs=0.03)
