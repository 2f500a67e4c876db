#!/bin/sh
# Add braindecode (LaBraM, EEGPT and CBraMod as baselines) to the virtual environment of bci-music.
# usage: install-foundation.sh VENV      e.g. install-foundation.sh .venv
# Nothing that is installed changes its version: pip gets all of it as constraints.
set -eu

venv=${1:-.venv}
here=$(dirname "$0")
python="$venv/bin/python"
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "There is no torch in $venv: run 'make demo' or 'sh tools/install.sh $venv test' first." >&2
    exit 1
fi
pip="$python -m pip --disable-pip-version-check --no-input"

pins="$venv/foundation-constraints.txt"
"$python" - "$here/foundation.txt" > "$pins" <<'PYTHON'
import importlib.metadata as metadata
import re
import sys

def key(name):
    return re.sub(r"[-_.]+", "-", name).lower()

there = {key(d.metadata["Name"]): d for d in metadata.distributions() if key(d.metadata["Name"]) != "bci-music"}
for found in there.values():
    print(f"{found.metadata['Name']}=={found.version}")
for line in open(sys.argv[1], encoding="utf-8"):
    if "==" in line and key(line.split("==")[0]) not in there:
        print(line.strip())
PYTHON

# torchaudio's compiled part is linked against a CUDA build of torch. Beside another build it cannot be loaded, and its
# mere presence then breaks braindecode and transformers; without it torchaudio runs in plain torch. torchaudio goes
# in first and alone, so that the environment is never left with the part that does not load.
# (--no-deps: it asks for nothing but the torch that is there.)
$pip install --quiet --no-deps -c "$pins" torchaudio
if ! "$python" -c 'import torchaudio' 2>/dev/null; then
    "$python" - <<'PYTHON'
import importlib.util
import pathlib

found = importlib.util.find_spec("torchaudio")
for part in (pathlib.Path(found.origin).parent / "lib").glob("_torchaudio*"):
    print(f"Removing {part.name}: it does not fit this build of torch, torchaudio works without it.")
    part.unlink()
PYTHON
    "$python" -c 'import torchaudio'
fi

$pip install --quiet -c "$pins" "braindecode==$(sed -n 's/^braindecode==//p' "$here/foundation.txt")"
"$python" - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import braindecode
import braindecode.models
import diffusers
import mne
import transformers

print(f"braindecode {braindecode.__version__} is installed: LaBraM, EEGPT and CBraMod can be built.")
PYTHON
