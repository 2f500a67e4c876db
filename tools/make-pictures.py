#!/usr/bin/env python3
"""Make docs/pictures: the views, dark and light, at 1920 x 1080 and 1280 x 720, from the simulated sample.

The pack that ships decodes the sample by the same stages as a live run, on a clock that is moved by hand, so that the
pictures do not depend on the machine. Takes about two minutes; needs no screen. With --film it makes docs/pictures/
perform.webp instead: twenty seconds of the Perform view.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

SECONDS, SWEEP_S, BEAT_S = 96.0, 12.0, 0.02
SIZES = ((1920, 1080), (1280, 720))
SHARES = (0.2, 0.35, 0.5, 0.75, 1.0)  # of each colour over the panel
OTHERS = ("open", "pack", "calibrate")  # what a live run can be followed by
VIEWS = ("perform", "monitor", "study", "calibrate")
FILM_FROM_S, FILM_S, FILM_HZ, FRAME_HZ, FILM_SIZE, FILM_QUALITY = 52.0, 20.0, 8, 30, (1024, 576), 25


def start(mode: str) -> tuple[Any, Any]:
    """Build a run on the sample; returns engine and clock."""
    from bci_music.clock import ManualClock
    from bci_music.data.formats import open_session
    from bci_music.engine.build import build_engine
    from bci_music.engine.config import LiveConfig
    from bci_music.engine.sample import find_sample
    from bci_music.sound.player import ClockPlayer
    from bci_music.streaming.markers import FileMarkers
    from bci_music.streaming.replay import SessionSource

    clock = ManualClock(1000.0)
    source = SessionSource(open_session(find_sample()), clock=clock)
    config = LiveConfig.model_validate({"sound": {"generator": "library"}, "sham": {"mode": mode}})
    player = ClockPlayer(clock, None, threaded=False)
    engine = build_engine(config, source, player, clock, lambda info, on: FileMarkers(source, on))
    player.start()
    return engine, clock


def keep(engine: Any, clock: Any, name: str) -> None:
    """Leave the report of a run where the Study view finds it."""
    from bci_music.engine.report import build_report, report_text

    folder = Path("out") / name
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(report_text(build_report(engine, clock.now())), encoding="utf-8")


def record(name: str) -> None:
    """Leave a session where the Study view finds it."""
    from bci_music.data.consent import write_sidecar
    from bci_music.engine.sample import find_sample
    from bci_music.sessions.folder import RECORDING, SessionFolder
    from bci_music.streaming.xdf_growth import XdfGrowth

    session = SessionFolder(Path("sessions") / name, {"pack": "demo"})
    shutil.copy(find_sample(), session.folder / RECORDING)
    samples = XdfGrowth(session.folder / RECORDING).look()
    write_sidecar(session.folder / RECORDING, "FORM-12", list(samples), pack={"name": "demo"})
    session.close(samples, [])


class Shown:
    """An engine as the window sees it: it goes on, and sessions lie in a folder whose name does not matter."""

    def __init__(self, engine: Any):
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def snapshot(self) -> Any:
        """Return the engine's, put right where it is moved by hand."""
        now = self._engine.snapshot()
        return replace(now, running=True, shelf=replace(now.shelf, place="study"), others=OTHERS)


def save(window: Any, path: Path) -> None:
    """Write what the window shows, with the colours of the theme and some shades of each."""
    import numpy as np
    from PIL import Image

    from gui import theme

    p = theme.PALETTES[theme.name]
    single = (p.ground, p.panel, p.line, p.track, p.text)
    over = (p.text, p.muted, p.dim, p.accent, p.warm, p.bad, p.good, *p.regions, *p.songs, *p.attention)
    shades = [theme.mixed(c, p.panel, n).name() for c in dict.fromkeys(over) for n in SHARES]
    found = list(dict.fromkeys([*single, *shades]))[:256]
    palette = np.array([theme.rgb(colour) for colour in found])
    window.grab().save(str(path))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    colours, where = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    parts = np.array_split(colours.astype(int), len(colours) // 1000 + 1)
    nearest = np.concatenate([((part[:, None] - palette) ** 2).sum(axis=2).argmin(axis=1) for part in parts])
    few = Image.fromarray(nearest[where.ravel()].reshape(pixels.shape[:2]).astype(np.uint8), "P")
    few.putpalette(palette.astype(np.uint8).tobytes())
    few.save(path, optimize=True)


def main() -> None:
    """Take the pictures, or the film, in a folder of its own."""
    words = [word for word in sys.argv[1:] if word != "--film"]
    out = Path(words[0] if words else "docs/pictures").resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        (film if "--film" in sys.argv else take)(out)
        os.chdir(out)


def film(out: Path) -> None:
    """Take pictures of the Perform view while the run goes on, and write them as an animation."""
    from PIL import Image

    from gui import theme
    from gui.app import application
    from gui.bridge import Bridge
    from gui.main_window import MainWindow

    app = application()
    app.setFont(theme.font(14))
    engine, clock = start("off")
    while clock.now() < 1000.0 + FILM_FROM_S:
        engine.step(clock.advance(BEAT_S))
    window = MainWindow(Bridge(Shown(engine)), "sample, simulated EEG", "perform")
    window.resize(*SIZES[1])
    window.show()
    pictures = []
    for frame in range(round((SWEEP_S + FILM_S) * FRAME_HZ)):
        until = 1000.0 + FILM_FROM_S + frame / FRAME_HZ
        while clock.now() < until:
            engine.step(clock.advance(BEAT_S))
        for _ in range(60 // FRAME_HZ):
            window.tick()
        app.processEvents()
        taken = frame / FRAME_HZ - SWEEP_S
        if taken >= len(pictures) / FILM_HZ:
            image = window.grab().toImage()
            image = image.convertToFormat(image.Format.Format_RGB888)
            size, row = (image.width(), image.height()), image.bytesPerLine()
            picture = Image.frombuffer("RGB", size, bytes(image.constBits()), "raw", "RGB", row, 1)
            pictures.append(picture.resize(FILM_SIZE, Image.Resampling.LANCZOS))
    window.close()
    engine.stop()
    pictures[0].save(
        out / "perform.webp", save_all=True, append_images=pictures[1:], duration=1000 // FILM_HZ, loop=0,
        quality=FILM_QUALITY, method=4,
    )  # fmt: skip


def take(out: Path) -> None:
    """Run twice, as EEG and as sham, and take the pictures at the end of the second."""
    from gui import theme
    from gui.app import application
    from gui.bridge import Bridge
    from gui.main_window import MainWindow

    app = application()
    app.setFont(theme.font(14))
    record("2026-11-28-193012")
    other, clock = start("sham")
    while clock.now() < 1000.0 + SECONDS:
        other.step(clock.advance(BEAT_S))
    keep(other, clock, "evening-sham")
    other.stop()
    engine, clock = start("off")
    while clock.now() < 1000.0 + SECONDS - SWEEP_S:
        engine.step(clock.advance(BEAT_S))
    keep(engine, clock, "evening")
    windows = {}
    for width, height in SIZES:
        for view in VIEWS:
            window = windows[width, view] = MainWindow(Bridge(Shown(engine)), "sample, simulated EEG", view)
            window.resize(width, height)
            window.show()
    while clock.now() < 1000.0 + SECONDS:
        engine.step(clock.advance(BEAT_S))
        for window in windows.values():
            window.tick()
        app.processEvents()
    for (width, view), window in windows.items():
        if view == "study":
            rows = window.view.shelf.rows
            for n in range(rows.count()):
                rows.item(n).setSelected(rows.item(n).text().startswith("evening"))
            window.tick()
        save(window, out / f"{view}-{width}-dark.png")
    next(iter(windows.values()))._toggle_theme()
    for (width, view), window in windows.items():
        window._toggle_theme()
        window._toggle_theme()
        for _ in range(13):
            engine.step(clock.advance(BEAT_S))
            window.tick()
        app.processEvents()
        save(window, out / f"{view}-{width}-light.png")
    for window in windows.values():
        window.close()
    engine.stop()


if __name__ == "__main__":
    main()
