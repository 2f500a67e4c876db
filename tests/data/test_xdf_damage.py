"""Damaged XDF: what lies before and after the damage is read, value by value, and what is lost is said."""

import contextlib
import gzip
import re
import struct
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bci_music.data.formats import open_session
from bci_music.messages import UserError

N, PER_CHUNK, LABELS = 1280, 64, ("Fp1", "Fp2", "F7", "F3")
BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")


class Parts(dict):
    """Chunks by name; shown without their bytes."""

    __repr__ = object.__repr__


@pytest.fixture
def made(write_xdf):
    """Chunks of a file by name, with the stream: 10 s of 4 channels at 128 Hz in chunks of 0.5 s, two markers."""
    eeg = write_xdf.Stream("amp", labels=LABELS, rate=128.0, times=900 + np.arange(N) / 128.0)
    marks = write_xdf.Stream("marks", "Markers", labels=("",), rate=0, format="string", times=[902.0, 909.0],
                             values=["a", "b"])  # fmt: skip
    chunk = write_xdf.chunk
    number = {1: struct.pack("<I", 1), 2: struct.pack("<I", 2)}
    parts = Parts(magic=b"XDF:", file=chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>'))
    parts["header"] = chunk(2, number[1] + eeg.header().encode())
    parts["header 2"] = chunk(2, number[2] + marks.header().encode())
    for k in range(N // PER_CHUNK):
        rows = slice(k * PER_CHUNK, (k + 1) * PER_CHUNK)
        parts[f"samples {k}"] = chunk(3, number[1] + eeg.samples(rows))
        if k in (5, 15):
            parts[f"marks {k}"] = chunk(3, number[2] + marks.samples(slice(k // 10, k // 10 + 1)))
            parts[f"offset {k}"] = chunk(4, number[1] + struct.pack("<dd", 900.0 + k / 2, 0.0))
            parts[f"boundary {k}"] = chunk(5, BOUNDARY)
    for k, stream in ((1, eeg), (2, marks)):
        foot = f'<?xml version="1.0"?><info><sample_count>{len(stream.times)}</sample_count></info>'
        parts[f"footer {k}"] = chunk(6, number[k] + foot.encode())
    return parts, eeg


def put(tmp_path, parts, name="made.xdf"):
    path = tmp_path / name
    path.write_bytes(b"".join(parts.values() if isinstance(parts, dict) else parts))
    return path


def check_rows(session, eeg):
    """Every row that is there has the values that were recorded at its stamp."""
    rows = np.rint((session.times_s - 900) * 128).astype(int)
    np.testing.assert_array_equal(session.samples_uv, eeg.values[rows])
    return rows


def cut_at(parts, name, inside):
    before = list(parts)[: list(parts).index(name)]
    return b"".join([*(parts[p] for p in before), parts[name][:inside]])


@pytest.mark.parametrize(("name", "inside", "rows"), [
    ("samples 18", 3, 18 * 64),  # in the length
    ("samples 18", 5, 18 * 64),  # after it
    ("samples 18", 6, 18 * 64),  # in the tag
    ("samples 18", 9, 18 * 64),  # in the stream's number
    ("samples 18", 14, 18 * 64),  # in the number of rows
    ("samples 18", 16 + 20 * 25 + 7, 18 * 64 + 20),  # in a row
    ("offset 15", 19, 16 * 64),
    ("marks 15", 12, 16 * 64),
    ("footer 1", 25, N),
    ("boundary 15", 9, 16 * 64),
])  # fmt: skip
def test_a_cut_leaves_all_that_lies_before_it(made, tmp_path, name, inside, rows):
    parts, eeg = made
    data = cut_at(parts, name, inside)
    session = open_session(put(tmp_path, [data]))
    assert check_rows(session, eeg).tolist() == list(range(rows))
    assert session.sfreq_hz == 128.0
    assert any(f"to its end at {len(data)}" in note for note in session.notes)
    assert any(f"'amp': {rows} samples were read" in note for note in session.notes)
    assert [e.text for e in session.events] == (["a", "b"] if name in ("offset 15", "boundary 15", "footer 1")
                                                 or name == "samples 18" else ["a"])  # fmt: skip


@pytest.mark.parametrize("hole", [bytes(64), bytes(5000), b"\xff" * 300, b"\x01\x02\x03" * 40])
def test_what_was_put_in_between_costs_nothing(made, tmp_path, hole):
    parts, eeg = made
    chunks = list(parts.values())
    session = open_session(put(tmp_path, [*chunks[:9], hole, *chunks[9:]]))
    assert len(check_rows(session, eeg)) == N
    assert any("'amp': none of 1280 samples are lost" in note for note in session.notes)
    assert len(session.events) == 2


@pytest.mark.parametrize("boundaries", [True, False])
@pytest.mark.parametrize("filled", [0, 255])
def test_a_hole_of_overwritten_bytes_is_a_gap_whose_size_is_said(made, tmp_path, boundaries, filled):
    parts, eeg = made
    parts = {k: v for k, v in parts.items() if boundaries or not k.startswith("boundary")}
    data = bytearray(b"".join(parts.values()))
    start = data.index(parts["samples 7"]) + 300
    stop = data.index(parts["samples 9"]) + 400
    data[start:stop] = bytes([filled]) * (stop - start)
    session = open_session(put(tmp_path, [data]))
    rows = check_rows(session, eeg)
    assert len(rows) >= N - 3 * 64
    assert set(range(7 * 64)) | set(range(10 * 64, N)) <= set(rows)
    assert len(session.segments()) == 2
    assert any(f"'amp': {N - len(rows)} of 1280 samples are lost" in note for note in session.notes)


def test_a_hole_within_one_chunk_takes_only_its_rows(made, tmp_path):
    parts, eeg = made
    body = bytearray(parts["samples 7"])
    start = 16 + 25 * 10 + 12  # in the values of row 10
    body[start : start + 25 * 4] = bytes(100)  # until within row 14
    parts["samples 7"] = bytes(body)
    rows = check_rows(open_session(put(tmp_path, parts)), eeg)
    assert sorted(set(range(N)) - set(rows)) == [7 * 64 + k for k in range(10, 15)]


def test_stamps_counted_on_are_not_counted_over_a_hole(made, tmp_path, write_xdf):
    """Rows without stamps follow the last one: after a loss they would be placed too early."""
    parts, eeg = made
    number = struct.pack("<I", 1)
    for k in range(N // PER_CHUNK):
        rows = eeg.samples(slice(k * PER_CHUNK, (k + 1) * PER_CHUNK), stamped=False)
        if k % 4:  # not even the first of these chunks has one
            rows = rows[:5] + b"\0" + rows[14:]
        parts[f"samples {k}"] = write_xdf.chunk(3, number + rows)
    whole = open_session(put(tmp_path, parts))
    assert len(check_rows(whole, eeg)) == N
    parts["samples 6"] = bytes(len(parts["samples 6"]))
    holed = open_session(put(tmp_path, parts, "holed.xdf"))
    assert check_rows(holed, eeg).tolist() == [*range(6 * 64), *range(8 * 64, N)]
    assert any("'amp': 128 of 1280 samples are lost" in note for note in holed.notes)


def test_an_unknown_kind_of_chunk_an_empty_one_and_a_bad_footer_cost_nothing(made, tmp_path, write_xdf):
    parts, eeg = made
    chunks = list(parts.values())
    chunks.insert(4, write_xdf.chunk(3, struct.pack("<I", 1) + b"\x01\x00"))
    chunks.insert(6, write_xdf.chunk(77, b"what is this"))
    chunks[-2] = write_xdf.chunk(6, struct.pack("<I", 1) + b"<info><sample_co")
    session = open_session(put(tmp_path, chunks))
    assert len(check_rows(session, eeg)) == N
    assert any("unknown kind 77" in note for note in session.notes)
    assert any("footer of stream 'amp' is damaged" in note for note in session.notes)


def test_what_liblsl_adds_as_an_outlet_ends_is_left_out(made, tmp_path, write_xdf):
    """One sample more than the footer counts, with a last clock offset of another world, would bend all stamps."""
    parts, eeg = made
    number = struct.pack("<I", 1)
    good = [write_xdf.chunk(4, number + struct.pack("<dd", 900.0 + k, 1e-5 * (k % 2))) for k in range(9)]
    bad = write_xdf.chunk(4, number + struct.pack("<dd", 1.3e9, -1.29e9))
    extra = write_xdf.chunk(3, number + b"\x01\x01\x08" + struct.pack("<d4f", 910.0, 1, 2, 3, 4))
    chunks = [v for k, v in parts.items() if not k.startswith("offset")]
    at = chunks.index(parts["footer 1"])
    session = open_session(put(tmp_path, [*chunks[:at], *good, extra, bad, *chunks[at:]]))
    assert len(check_rows(session, eeg)) == N
    assert np.abs(session.times_s - eeg.times).max() < 1e-3


def test_a_bad_header_costs_its_own_stream_only(made, tmp_path, write_xdf):
    parts, eeg = made
    huge = write_xdf.chunk(2, struct.pack("<I", 9) + b"<info><name>x</name><channel_count>2000000000</channel_count>"
                           b"<nominal_srate>1</nominal_srate><channel_format>float32</channel_format></info>")
    parts = {"magic": parts["magic"], "huge": huge, **parts}
    session = open_session(put(tmp_path, parts))
    assert len(check_rows(session, eeg)) == N
    assert any("states '2000000000' channels" in note for note in session.notes)


@pytest.mark.parametrize(("was", "now", "says"), [
    ("<channel_count>4", "<channel_count>99999999", "states '99999999' channels"),
    ("<nominal_srate>128.0", "<nominal_srate>1e300", "states a rate of '1e300' Hz"),
    ("<nominal_srate>128.0", "<nominal_srate>-1", "states a rate of '-1' Hz"),
    ("float32", "float8", "states the format 'float8'"),
])  # fmt: skip
def test_headers_are_bounded_before_anything_is_allocated(write_xdf, was, now, says):
    path = write_xdf(write_xdf.Stream(labels=LABELS, rate=128.0))
    path.write_bytes(b"XDF:" + write_xdf.chunk(2, struct.pack("<I", 1) + write_xdf.Stream(
        labels=LABELS, rate=128.0).header().replace(was, now).encode()))
    with pytest.raises(UserError, match=re.escape(says)) as refused:
        open_session(path)
    assert "\n" not in str(refused.value)


def test_entities_and_nesting_in_a_header_are_refused(write_xdf, tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><info><name>&b;</name></info>'
    deep = "<info>" + "<a>" * 5000 + "</a>" * 5000 + "</info>"
    for text in (bomb, deep):
        path = put(tmp_path, [b"XDF:", write_xdf.chunk(2, struct.pack("<I", 1) + text.encode())])
        with pytest.raises(UserError, match=r"declares entities|nested"):
            open_session(path)


def test_a_header_with_a_decimal_comma_or_without_a_name_is_read(write_xdf):
    eeg = write_xdf.Stream(name="", rate="100,0")
    session = open_session(write_xdf(eeg))
    assert (session.sfreq_hz, session.name) == (100.0, "unnamed")
    np.testing.assert_array_equal(session.samples_uv, eeg.values)


@pytest.mark.parametrize("name", ["made.xdf", "made.xdfz", "made.xdf.gz"])
def test_packed_files_are_known_by_their_bytes_and_read_up_to_their_cut(made, tmp_path, name):
    parts, eeg = made
    packed = gzip.compress(b"".join(parts.values()))
    assert len(check_rows(open_session(put(tmp_path, [packed], name)), eeg)) == N
    session = open_session(put(tmp_path, [packed[: len(packed) // 2]], name))
    assert len(check_rows(session, eeg)) > 400
    assert session.notes


def test_a_file_that_unpacks_without_end_is_refused_soon(tmp_path):
    path = tmp_path / "bomb.xdfz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(bytes(1 << 22))
    began = time.monotonic()
    with pytest.raises(UserError, match="that is no recording"):
        open_session(path)
    assert time.monotonic() - began < 20


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 0.999), length=st.integers(0, 8000), kind=st.sampled_from(["cut", "take out", "zeros"]))
def test_any_damage_gives_true_rows_or_a_sentence(made, tmp_path, at, length, kind):
    parts, eeg = made
    whole = b"".join(parts.values())
    first = whole.index(parts["samples 0"])
    start = first + int(at * (len(whole) - first))
    stop = min(len(whole), start + length)
    hole = {"cut": b"", "take out": whole[stop:], "zeros": bytes(stop - start) + whole[stop:]}[kind]
    path = put(tmp_path, [whole[:start] + hole])
    with contextlib.suppress(UserError):
        session = open_session(path)
        rows = np.rint((session.times_s - 900) * 128)
        inside = (rows >= 0) & (rows < N)
        assert (~inside).sum() <= 1  # a stamp that was hit
        assert len(rows) >= N - (stop - start) / 25 - 2 * 64 - 2 or kind == "cut"
        wrong = (session.samples_uv[inside] != eeg.values[rows[inside].astype(int)]).any(axis=1)
        assert wrong.sum() <= 2  # rows hit in their values only, which nothing in the file shows
