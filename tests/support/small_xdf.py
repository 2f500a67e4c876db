"""A writer of small XDF files, so that tests can hold exactly what they need."""

import struct
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import numpy as np
import pytest

CODES = {"float32": "f", "double64": "d", "int16": "h", "int32": "i"}


@dataclass
class Stream:
    """One stream to be written; `values` is (n, n_channels) or a list of strings."""

    name: str = "made"
    kind: str = "EEG"
    labels: tuple = ("Fz", "Cz", "Pz")
    types: tuple = ()
    unit: str = "microvolts"
    rate: float = 100.0
    format: str = "float32"
    times: object = field(default_factory=lambda: np.arange(50) / 100.0 + 7.0, repr=False)
    values: object = field(default=None, repr=False)
    offsets: tuple = ()
    desc: str = ""
    source_id: str = "id"

    def header(self):
        n = len(self.labels) if self.labels else np.shape(self.values)[1]
        kinds = self.types or (self.kind,) * n
        listed = "".join(
            f"<channel><label>{escape(label)}</label><type>{kind}</type><unit>{self.unit}</unit></channel>"
            for label, kind in zip(self.labels, kinds[: len(self.labels)], strict=True)
        )
        channels = f"<channels>{listed}</channels>" if listed else ""
        return (
            f'<?xml version="1.0"?><info><name>{self.name}</name><type>{self.kind}</type>'
            f"<channel_count>{n}</channel_count><nominal_srate>{self.rate}</nominal_srate>"
            f"<channel_format>{self.format}</channel_format><source_id>{self.source_id}</source_id>"
            f"<desc>{channels}{self.desc}</desc></info>"
        )

    def samples(self, rows=slice(None), stamped=True):
        if self.values is None:
            rng = np.random.default_rng(0)
            self.values = rng.standard_normal((len(self.times), len(self.labels))).astype(np.float32)
        packed = []
        for time_s, row in zip(self.times[rows], self.values[rows], strict=True):
            if self.format == "string":
                text = row.encode()
                body = b"\x04" + struct.pack("<I", len(text)) + text
            else:
                body = struct.pack(f"<{len(row)}{CODES[self.format]}", *row)
            stamp = b"\x08" + struct.pack("<d", time_s) if stamped or not packed else b"\x00"
            packed.append(stamp + body)
        return b"\x04" + struct.pack("<I", len(packed)) + b"".join(packed)


def chunk(tag, body):
    return b"\x04" + struct.pack("<I", len(body) + 2) + struct.pack("<H", tag) + body


@pytest.fixture
def write_xdf(tmp_path):
    def write(*streams, name="made.xdf"):
        data = b"XDF:" + chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
        for number, stream in enumerate(streams, 1):
            data += chunk(2, struct.pack("<I", number) + stream.header().encode())
        for number, stream in enumerate(streams, 1):
            if len(stream.times):
                data += chunk(3, struct.pack("<I", number) + stream.samples())
            for at, value in stream.offsets:
                data += chunk(4, struct.pack("<Idd", number, at, value))
        path = tmp_path / name
        path.write_bytes(data)
        return path

    write.Stream = Stream
    write.chunk = chunk
    return write
