"""One small valid thing of each kind that the program opens."""

import io
import struct
from pathlib import Path

import numpy as np
from malformed import Valid
from small_clap import small_clap, small_extractor, small_tokenizer
from small_library import write_library
from untrained_pack import write_untrained


def write_valid(place: Path) -> Valid:
    """Write one valid thing of each kind."""
    from bci_music.generation.audioldm.loading import write_random_audioldm
    from bci_music.models.embedder import StatisticsEmbedder
    from bci_music.models.pack import DecoderConfig
    from bci_music.models.sizes import EncoderConfig, HeadConfig

    pack = place / "valid-pack"
    (pack / "library").mkdir(parents=True)
    write_library(pack / "library", seconds=1.0)
    piece = np.random.default_rng(0).standard_normal(16_000 * 20).astype(np.float32)
    StatisticsEmbedder.fit([piece], n_axes=8).save(pack / "embedder")
    decoder = DecoderConfig(encoder=EncoderConfig(dim=32, depth=1, heads=2), head=HeadConfig(hidden=32, embed_dim=24))
    write_untrained(pack, decoder=decoder)
    audioldm = write_random_audioldm(place / "valid-audioldm")
    np.save(audioldm / "unconditional.npy", np.zeros(512, np.float32))
    clap = place / "valid-clap"
    small_clap().save_pretrained(clap)
    small_extractor().save_pretrained(clap)
    small_tokenizer().save_pretrained(clap)
    return Valid(pack, audioldm, clap, write_xdf(place / "valid.xdf"), write_edf(place / "valid.edf"))


def write_xdf(path: Path, rows: int = 1000) -> Path:
    """Eight channels at 100 Hz, ten seconds of them by default."""
    labels = "".join(f"<channel><label>{name}</label><type>EEG</type><unit>microvolts</unit></channel>"
                     for name in ("Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"))  # fmt: skip
    info = (f"<?xml version='1.0'?><info><name>t</name><type>EEG</type><channel_count>8</channel_count>"
            f"<nominal_srate>100</nominal_srate><channel_format>float32</channel_format><source_id>t</source_id>"
            f"<created_at>1</created_at><uid>u</uid><desc><channels>{labels}</channels></desc></info>")  # fmt: skip
    out = io.BytesIO(b"")
    out.write(b"XDF:")

    def chunk(tag: int, content: bytes) -> None:
        out.write(b"\x04" + struct.pack("<I", len(content) + 2) + struct.pack("<H", tag) + content)

    chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
    chunk(2, struct.pack("<I", 1) + info.encode())
    samples = np.random.default_rng(0).normal(0, 20, (rows, 8)).astype("<f4")
    body = b"".join(b"\x08" + struct.pack("<d", 10 + i / 100) + row.tobytes() for i, row in enumerate(samples))
    chunk(3, struct.pack("<I", 1) + b"\x04" + struct.pack("<I", rows) + body)
    foot = (f"<?xml version='1.0'?><info><first_timestamp>10</first_timestamp><last_timestamp>{10 + (rows - 1) / 100}"
            f"</last_timestamp><sample_count>{rows}</sample_count></info>")  # fmt: skip
    chunk(6, struct.pack("<I", 1) + foot.encode())
    path.write_bytes(out.getvalue())
    return path


def write_edf(path: Path) -> Path:
    """Ten records of one second, eight channels at 100 Hz."""
    names, n = ("Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"), 8
    fields = ["0".ljust(8), "X X X X".ljust(80), "Startdate 01-JAN-2026 X X X".ljust(80), "01.01.26", "10.00.00",
              str(256 * (n + 1)).ljust(8), " " * 44, "10".ljust(8), "1".ljust(8), str(n).ljust(4)]  # fmt: skip
    same = (("AgAgCl", 80), ("uV", 8), ("-3276.8", 8), ("3276.7", 8), ("-32768", 8), ("32767", 8), ("", 80),
            ("100", 8), ("", 32))  # fmt: skip
    columns = ["".join(name.ljust(16) for name in names)] + [value.ljust(width) * n for value, width in same]
    samples = np.random.default_rng(0).normal(0, 200, (10, n, 100)).astype("<i2")
    path.write_bytes(("".join(fields) + "".join(columns)).encode("ascii") + samples.tobytes())
    return path
