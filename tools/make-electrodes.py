"""Write configs/electrodes.yaml from MNE's standard montages: ``python tools/make-electrodes.py``."""

from pathlib import Path

from bci_music.eeg.electrodes import TABLES, from_mne

HEAD = """\
# Electrode positions in mm on a sphere of 95 mm (x right, y front, z up), one line per electrode: name x y z.
# Made from the standard montages of MNE-Python (BSD-3-Clause) by tools/make-electrodes.py; a test compares them.
tables:
"""


def main() -> None:
    """Write the file beside the other configurations."""
    lines = [HEAD.rstrip()]
    for name, source in TABLES.items():
        lines.append(f"  {name}: |  # {source}")
        for label, (x, y, z) in from_mne(source).items():
            lines.append(f"    {label} {1000 * x:.3f} {1000 * y:.3f} {1000 * z:.3f}")
    path = Path(__file__).resolve().parents[1] / "configs" / "electrodes.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
