"""The words of the field: what was retired from names, help, documents and messages does not come back."""

import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

REPO = Path(__file__).resolve().parents[2]

# Retired word: what is written instead.
RETIRED = {
    "sitting": "session", "joint": "splice", "seam": "splice, break or interface", "ladder": "fallback chain",
    "sinking": "fading out", "ledger": "span log", "deranged": "mismatched", "musics": "candidates",
    "likeness": "similarity", "judge": "evaluate, assess", "judgement": "assessment", "judging": "evaluation",
    "anew": "again", "mend": "fix", "door": "entry point", "room": "package", "widen": "mlp_ratio",
    "bumps": "basis functions", "set aside": "excluded", "settle_norm": "recompute_batchnorm",
}  # fmt: skip
# Retired as a name only: as a word of a sentence it is plain English.
RETIRED_NAMES = {"told", "said", "say", "Say", "Take", "takes", "Stretch", "stretches", "Joint", "Ladder", "Ledger"}
# Where the version before is read, its names stand; and rooms and doors in titles of songs.
OLD_NAMES = {
    "CHANGELOG.md", "bci_music/bench/splices.py", "bci_music/cli/bench.py", "bci_music/cli/lab.py",
    "bci_music/cli/pack.py", "bci_music/compose/songbook.py", "bci_music/generation/audioldm/generator.py",
    "bci_music/metrics/metric.py", "bci_music/models/sizes.py", "bci_music/training/audioldm/stages.py",
    "tests/bench/test_splices.py", "tests/evaluation/test_lab_verbs.py", "tests/metrics/test_metric.py",
    "tests/models/test_encoder_kinds.py", "tests/packing/test_pack_cli.py", "tests/training/audioldm/test_pieces.py",
}  # fmt: skip
TEXT = {".py", ".md", ".yaml", ".toml", ".sh", ".html", ""}


def forms(word):
    stem = re.escape(word).replace(r"\ ", "[ _-]")
    return rf"{stem}(?:s|d|ed|ing)?"


PATTERN = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(forms(w) for w in RETIRED)})(?![A-Za-z])", re.IGNORECASE)
ENCODED = re.compile(r"[A-Za-z0-9+/=]{60,}")  # a picture in a page: its letters are no words


@pytest.fixture(scope="module")
def files():
    done = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout, so the files of the repository are not known")
    names = [n for n in done.stdout.split() if "packs/demo/" not in n and Path(n).suffix in TEXT]
    return [n for n in names if (REPO / n).is_file() and (REPO / n) != Path(__file__).resolve()]


def test_no_retired_word_is_written(files):
    hits = [
        f"{name}:{number}: {found[0]}"
        for name in files if name not in OLD_NAMES
        for number, line in enumerate((REPO / name).read_text(encoding="utf-8").splitlines(), 1)
        if (found := PATTERN.search(ENCODED.sub("", line)))
    ]  # fmt: skip
    assert hits == []


def test_where_old_names_are_read_there_are_no_more_than_those(files):
    assert set(files) >= OLD_NAMES
    counts = {name: len(PATTERN.findall((REPO / name).read_text(encoding="utf-8"))) for name in OLD_NAMES}
    assert {name: n for name, n in counts.items() if not 0 < n <= (20 if name == "CHANGELOG.md" else 8)} == {}


def test_no_retired_name_is_used(files):
    hits = []
    for name in files:
        if name.endswith(".py"):
            source = io.StringIO((REPO / name).read_text(encoding="utf-8"))
            hits += [
                f"{name}:{t.start[0]}: {t.string}" for t in tokenize.generate_tokens(source.readline)
                if t.type == tokenize.NAME and t.string in RETIRED_NAMES
            ]
    assert hits == []
