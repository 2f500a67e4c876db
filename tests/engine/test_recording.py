"""What is recorded during a run: raw EEG with its holes, every embedding, every event, on one clock, and it replays."""

import time

import numpy as np
import pytest
import pyxdf
from offline_engine import run_session

from bci_music.data.formats import open_session
from bci_music.eeg.montage import NMED_CHANNELS
from bci_music.engine.config import LiveConfig
from bci_music.messages import StreamState, UserError

RATE = 250.0


def recording_to(folder, consent):
    return LiveConfig.parse({"outputs": {"recording": {"folder": folder, "consent": consent}}}).outputs


def test_without_consent_nothing_is_recorded(tmp_path):
    with pytest.raises(UserError, match="consent"):
        recording_to(tmp_path, "  ")
    with pytest.raises(UserError, match="--record"):
        recording_to(None, "form 7")
    recording_to(None, None)


def path_of(engine):
    (path,) = [stage.output.path for stage in engine.outputs if stage.output.path is not None]
    return path


def stream_named(streams, name):
    found = [s for s in streams if s["info"]["name"][0] == name]
    assert len(found) == 1, f"{name}: {[s['info']['name'][0] for s in streams]}"
    return found[0]


@pytest.mark.realtime
def test_a_run_with_a_kill_is_recorded_whole_and_replays(outlet, live_engine, until, tmp_path, config):
    stream = outlet(rate=RATE, channels=125, noise=15, labels=",".join(NMED_CHANNELS))
    engine = live_engine(stream.name, outputs=recording_to(tmp_path, "form 12"))
    engine.start()
    until(lambda: engine.recording, 20, "the recording")
    began = engine.now()
    until(lambda: engine.now() > began + 7 and len(engine.history.embeddings()) >= 4, 30, "seven seconds")
    stream.kill()
    time.sleep(1.0)
    stream.start()
    until(lambda: engine.state == StreamState.LIVE and engine.connection == 1, what="the rejoin")
    until(lambda: sum(e.connection == 1 for e in engine.history.embeddings()) >= 3, 30, "decoding after the rejoin")
    engine.events.log("the listener smiled")
    embeddings = engine.history.embeddings()
    engine.stop()
    streams, _ = pyxdf.load_xdf(str(path_of(engine)), dejitter_timestamps=False)  # which would smooth the hole away

    raw = stream_named(streams, stream.name)
    assert raw["time_series"].shape[1] == 125
    assert np.diff(raw["time_stamps"]).max() > 0.5  # the hole

    recorded = stream_named(streams, f"{stream.name} embedding")
    after = [e for e in embeddings if e.made_s > began]
    assert len(after) >= 4
    for embedding in after:
        at = int(np.argmin(np.abs(recorded["time_stamps"] - embedding.end_s)))
        assert abs(recorded["time_stamps"][at] - embedding.end_s) < 2e-3
        assert np.array_equal(recorded["time_series"][at], embedding.vector)

    events = [row[0] for row in stream_named(streams, f"{stream.name} events")["time_series"]]
    assert events[-1] == "run ended"
    assert "the listener smiled" in events
    assert any("form 12" in e for e in events)
    assert any('"lost"' in e for e in events)

    again = run_session(open_session(path_of(engine)), config)
    assert again.status(again.now()).samples == len(raw["time_stamps"])
    assert len(again.history.embeddings()) >= 3


@pytest.mark.soak
@pytest.mark.realtime
@pytest.mark.timeout(300)
def test_a_recording_decoded_offline_agrees_with_its_own_embeddings(config, live_engine, until, tmp_path):
    """On windows that begin 30 s or later in the file, on the live run's hop grid: the statistics look back 30 s."""
    from bci_music.engine.build import make_chain
    from bci_music.engine.sample import SampleStream, find_sample
    from bci_music.messages import Window
    from bci_music.models.decoder import Decoder

    with SampleStream(find_sample()) as sample:
        engine = live_engine(sample.query(config.stream).name, outputs=recording_to(tmp_path, "form 13"))
        engine.start()
        until(lambda: engine.recording, 30, "the recording")
        began = engine.now()
        until(lambda: engine.now() > began + 42, 60, "42 s of recording")
        rate = round(engine.info.sfreq_hz)
        second = engine.ring.read((engine.ring.head - 40 * rate) // rate * rate, 1)
        engine.stop()
    streams, _ = pyxdf.load_xdf(str(path_of(engine)))
    name = engine.info.name
    recorded = stream_named(streams, f"{name} embedding")
    session = open_session(path_of(engine))
    end_s = recorded["time_stamps"]

    # The live run counted its hops from its first sample: begin offline at a whole second of that count.
    begin = int(np.argmin(np.abs(session.times_s - second.times[0])))
    decoder = Decoder.from_pack(config.pack)
    chain = make_chain(decoder, engine.info)
    offline = []
    for piece in session.grid_rows(start_s=float(session.times_s[begin] - session.times_s[0]) - 1e-4):
        windows = chain.process(piece.samples, piece.times, piece.flags, piece.first_index)
        offline += [decoder.decode(w, 0.0) for w in windows if isinstance(w, Window) and w.decodable]
    agreed = []
    for vector, end in zip(recorded["time_series"], end_s, strict=True):
        near = min(offline, key=lambda e: abs(e.end_s - end))
        if end - 4.0 > session.times_s[begin] + 30 and abs(near.end_s - end) < 2e-3:
            agreed.append(float(vector @ near.vector))
    assert len(agreed) >= 8
    assert min(agreed) >= 0.999
