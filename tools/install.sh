#!/bin/sh
# Make the virtual environment and install bci-music into it, with the tested versions of constraints.txt.
# usage: install.sh VENV EXTRAS      e.g. install.sh .venv test
# CONSTRAINTS=none leaves the versions to pip, for extras that cannot live with the tested ones.
# TORCH_SPEC (words for pip, e.g. "torch==2.13.0") is installed first, so that it decides which build of torch is used.
set -eu

venv=$1
extras=$2
torch_spec=${TORCH_SPEC:-torch==2.13.0}
here=$(dirname "$0")

if [ ! -x "$venv/bin/python" ]; then
    python=$(sh "$here/find-python.sh")
    echo "Making $venv with $("$python" --version)."
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "$python could not make a virtual environment: on Debian and Ubuntu install 'python3-venv' (as root:" \
             "apt-get install python3-venv), then run make again." >&2
        exit 1
    fi
fi
pip="$venv/bin/python -m pip --disable-pip-version-check --no-input"

# An overridden TORCH_SPEC must not meet the pin of another version.
pins="$venv/constraints.txt"
if [ "${CONSTRAINTS:-}" = none ]; then : > "$pins"; else grep -v '^torch==' constraints.txt > "$pins"; fi

if ! "$venv/bin/python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    echo "Installing $torch_spec and then the rest, once. Download: about 200 MB for a CPU build of torch, several GB where"
    echo "pip picks a CUDA build (on Linux it does by itself), and about 400 MB for the other packages. To choose the build:"
    echo "    make demo TORCH_SPEC='--index-url ADDRESS-OF-THE-CPU-INDEX torch==2.13.0'"
fi
# Unquoted on purpose: TORCH_SPEC may hold pip options beside the name.
# shellcheck disable=SC2086
if ! $pip install -c "$pins" $torch_spec; then
    echo "pip could not install '$torch_spec' for $("$venv/bin/python" --version): see its lines above; TORCH_SPEC chooses" \
         "another version, PYTHON another interpreter (remove $venv before that)." >&2
    exit 1
fi
"$venv/bin/python" -c 'import importlib.metadata as m; print("torch==" + m.version("torch"))' >> "$pins"
echo "Installing the other packages: this takes a minute or two."
$pip install --quiet -c "$pins" -e ".[$extras]"
echo "bci-music [$extras] is installed in $venv."
