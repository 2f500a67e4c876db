"""A process between this program and LabRecorder, which ends it in time and closes its file, whatever happens to us.

LabRecorder takes up to six seconds to end: its threads that measure clock offsets sleep for five. The guard ends it by
force and writes the footers: at once when its standard input brings a line, which says that all is on the disk; after
`GRACE_S` when that input ends, as it does when the program at its other end is gone.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from bci_music.streaming.xdf_growth import XdfGrowth

GRACE_S = 1.5


def main() -> None:
    """Run the command in `sys.argv`, whose second word is the file it writes; leave with its exit code."""
    command = sys.argv[1:]
    try:
        recorder = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(126) from None
    asked = threading.Event()
    threading.Thread(target=_end, args=(recorder, asked), daemon=True).start()
    code = recorder.wait()
    if not asked.is_set():
        raise SystemExit(code if code >= 0 else 128 - code)  # it ended by itself
    try:
        XdfGrowth(Path(command[1])).finish()
    except OSError as error:
        print(f"{command[1]} could not be closed: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None


def _end(recorder: subprocess.Popen[str], asked: threading.Event) -> None:
    all_there = bool(sys.stdin.readline())
    asked.set()
    try:
        if not all_there and recorder.stdin is not None:
            recorder.stdin.close()  # its order to end
            recorder.wait(GRACE_S)
    except (subprocess.TimeoutExpired, OSError):
        pass
    recorder.kill()


if __name__ == "__main__":
    main()
