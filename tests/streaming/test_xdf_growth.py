"""A growing XDF file is counted chunk by chunk, wherever it ends at the moment, and closed so that pyxdf reads it."""

import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import pyxdf
from hypothesis import given, settings
from hypothesis import strategies as st

from bci_music.messages import UserError
from bci_music.streaming.xdf_growth import XdfGrowth, check_recording

HEADER = (
    '<?xml version="1.0"?><info><name>{}</name><type>EEG</type><channel_count>1</channel_count>'
    "<nominal_srate>100</nominal_srate><channel_format>float32</channel_format></info>"
)
SAMPLES = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 300)), max_size=8)


def chunk(tag, content, width=4):
    length = len(content) + 2
    return bytes([width]) + length.to_bytes(width, "little") + struct.pack("<H", tag) + content


def samples(stream, count, start_s):
    rows = b"".join(b"\x08" + struct.pack("<df", start_s + n / 100, n) for n in range(count))
    return chunk(3, struct.pack("<I", stream) + b"\x04" + struct.pack("<I", count) + rows)


def chunks_of(plan):
    """A file of two streams: its chunks, and what had been written of each stream after each of them."""
    names = {1: "one & all", 2: "two"}
    parts = [b"XDF:" + chunk(1, b"<info><version>1.0</version></info>", 1)]
    for stream, name in names.items():
        parts.append(chunk(2, struct.pack("<I", stream) + HEADER.format(name.replace("&", "&amp;")).encode()))
    counts = [{}, {"one & all": 0}, {"one & all": 0, "two": 0}]
    at = {1: 5.0, 2: 5.0}
    for stream, count in plan:
        parts.append(samples(stream, count, at[stream]))
        at[stream] += count / 100
        counts.append({**counts[-1], names[stream]: counts[-1][names[stream]] + count})
    parts.append(chunk(4, struct.pack("<Idd", 1, 6.0, 1e-5)))
    counts.append(counts[-1])
    return parts, counts


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.lists(st.floats(0, 1), max_size=4), st.integers(0, 70))
def test_wherever_it_ends_what_is_whole_is_counted_and_can_be_closed(plan, looks, cut):
    parts, counts = chunks_of(plan)
    content = b"".join(parts)
    ends = np.cumsum([len(p) for p in parts])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "growing.xdf")
        growth = XdfGrowth(path)
        assert growth.look() == {}
        for share in sorted(looks):
            size = int(share * len(content))
            path.write_bytes(content[:size])
            whole = int((ends <= size).sum())
            assert growth.look() == (counts[whole - 1] if whole else {})
            assert not growth.damaged
        assert not growth.closed
        path.write_bytes(content + samples(1, 5, 9.0)[:cut])  # and a chunk that is cut off
        XdfGrowth(path).finish()
        closed = XdfGrowth(path)
        assert closed.look() == counts[-1]
        assert closed.closed
        found = {s["info"]["name"][0]: s for s in pyxdf.load_xdf(str(path), dejitter_timestamps=False)[0]}
        assert {name: len(s["time_stamps"]) for name, s in found.items()} == counts[-1]
        assert all(int(s["footer"]["info"]["sample_count"][0]) == counts[-1][name] for name, s in found.items())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_what_is_no_xdf_is_counted_as_nothing_much_and_never_raises(content, marked):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "odd.xdf")
        path.write_bytes(b"XDF:" * marked + content)
        growth = XdfGrowth(path)
        growth.look()
        growth.look()


def test_a_file_that_is_finished_is_left_as_it_is(tmp_path):
    path = tmp_path / "whole.xdf"
    path.write_bytes(b"".join(chunks_of([(1, 20), (2, 3)])[0]))
    XdfGrowth(path).finish()
    before = path.read_bytes()
    XdfGrowth(path).finish()
    assert path.read_bytes() == before
    check = check_recording(path)
    assert (check.samples, check.notes) == ({"one & all": 20, "two": 3}, ())


def test_a_recording_of_nothing_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="missing or empty"):
        check_recording(tmp_path / "nothing.xdf")
    path = tmp_path / "silent.xdf"
    path.write_bytes(b"".join(chunks_of([])[0]))
    with pytest.raises(UserError, match="no sample of any stream"):
        check_recording(path)
