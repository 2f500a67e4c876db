#!/bin/sh
# Print the Python interpreter to build the environment with: 3.11, 3.12 or 3.13, the plain name first.
# PYTHON=/path/to/python chooses one by hand.
set -eu

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if usable "$name"; then
        echo "$name"
        exit 0
    fi
done
echo "bci-music needs Python 3.11, 3.12 or 3.13 and found none of them (tried: ${PYTHON:-python3 python3.13 python3.12 python3.11}):" \
     "install one, or name it with 'make PYTHON=/path/to/python'." >&2
exit 1
