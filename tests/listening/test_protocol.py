"""The whole calibration with a simulated listener who hears what is played, in real time."""

import re
import time
import uuid

import numpy as np
import pytest
from hearing_outlet import HearingOutlet, SimulatedEars

from bci_music.listening import run, songs
from bci_music.listening.folder import CalibrationFolder
from bci_music.models.decoder import Decoder
from bci_music.models.pack import Pack
from bci_music.sessions.look import State, look_at
from bci_music.simulate.listener import ListenerConfig, SimulatedListener
from bci_music.sound import device
from bci_music.sound.player import ClockPlayer
from bci_music.streaming.discovery import StreamQuery
from bci_music.training.calibration.listener import CalibrateConfig

UNLIKE = ListenerConfig(latency_spread_s=0.025, place_spread_m=0.008, direction_spread=0.4, gain_spread=0.3)


@pytest.mark.soak
@pytest.mark.realtime
@pytest.mark.timeout(1200)
def test_from_electrodes_to_a_listeners_pack(tmp_path, lines, monkeypatch):
    """Six minutes with the demo pack's own music: all is heard, marked and recorded; the pack made of it decodes."""
    typical = np.concatenate([songs.sound_of(excerpt) for excerpt in songs.of_pack(Pack.open("demo"))[::7]])
    ears = SimulatedEars(SimulatedListener(301, config=UNLIKE), 5, typical)
    name = f"ears {uuid.uuid4().hex[:8]}"
    outlet = HearingOutlet(name, ears, 700.0)

    def opened(clock, **_):
        player = ClockPlayer(clock)
        outlet.listen(player)
        return player

    monkeypatch.setattr(device, "open_player", opened)
    wanted = run.Wanted(
        "demo", tmp_path / "anna", tmp_path / "recordings", "anna", "FORM 7", StreamQuery(word=name), device="none"
    )
    stamps = []
    display = lines(on_busy=lambda text: stamps.append((time.monotonic(), text)))
    began = time.monotonic()
    try:
        made = run.calibrate_live(wanted, run.ListenConfig(), CalibrateConfig(), display)
    finally:
        outlet.close()
        print("\n".join(display.lines))
    ended = time.monotonic()
    computed_s = ended - next(at for at, text in stamps if text.startswith("preparing"))
    print("\n".join([*made.words(), f"computed {computed_s:.0f} s of {ended - began:.0f} s"]))

    folder = CalibrationFolder.open(tmp_path / "recordings")
    assert not folder.missing()
    assert ended - began - computed_s < 600.0
    assert computed_s < 120.0
    look = look_at(folder.session, compare=True)
    assert look.state is State.WHOLE, look
    carried = [line for line in display.lines if line.startswith("your recording carries the sound")]
    assert carried, display.lines
    minutes, seconds = re.search(r"since (\d+):(\d\d)$", carried[-1]).groups()
    assert 60 * int(minutes) + int(seconds) <= 180
    assert made.tracking[0].startswith("Tracking reads")
    assert all(c.before.ci95 and c.after.ci95 and c.verdict != "worse" for c in made.calibrated.comparisons)
    assert Decoder.from_pack(Pack.open(tmp_path / "anna")).warm_up(1) > 0
