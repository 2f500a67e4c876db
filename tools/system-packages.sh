#!/bin/sh
# Install the Debian packages that pip cannot bring: PortAudio for sound, X and GL libraries for the window,
# PulseAudio and Xvfb for the tests, a font. Without root: name what is missing and go on.
# usage: system-packages.sh [--quiet | --demo]     --quiet: say nothing where nothing is missing
#                                                  --demo: nor look for what only the tests need, a sound server among it
set -eu

SOUND="libportaudio2 pulseaudio pulseaudio-utils"
WINDOW="libxcb-cursor0 libegl1 libgl1 libxkbcommon-x11-0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-image0
        libxcb-render-util0 libxcb-xinerama0 libdbus-1-3 libfontconfig1 fonts-inter"
TESTS="xvfb"
quiet=${1:-}
if [ "$quiet" = "--demo" ]; then
    quiet=--quiet SOUND=libportaudio2 TESTS=
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    [ "$quiet" = "--quiet" ] || echo "This is no Debian or Ubuntu: nothing was installed. Sound needs PortAudio, the window" \
        "on Linux needs the xcb-cursor library; 'bci-music doctor' says what is missing."
    exit 0
fi

missing=""
for package in $SOUND $WINDOW $TESTS; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
    [ "$quiet" = "--quiet" ] || echo "All system packages are installed."
    exit 0
fi

if [ "$(id -u)" -ne 0 ]; then
    echo "Missing system packages (the program goes on without what they bring):$missing"
    echo "    sudo apt-get update && sudo apt-get install --no-install-recommends$missing"
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
echo "Installing system packages:$missing"
apt-get update -qq </dev/null || echo "apt-get update failed: trying with the package lists that are here." >&2
# shellcheck disable=SC2086
if ! apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null; then
    for package in $missing; do  # one unknown name must not cost the others
        apt-get install -y -qq --no-install-recommends "$package" </dev/null >/dev/null ||
            echo "$package could not be installed: going on without it." >&2
    done
fi
