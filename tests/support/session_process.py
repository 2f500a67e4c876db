"""A process that records a session of the stream it is told, with a tone for music, until it is killed."""

import sys
import time
from pathlib import Path

import numpy as np
import pylsl

from bci_music.sessions.folder import RECORDING, SessionFolder
from bci_music.streaming.recorder import LabRecorder

BLOCK, RATE = 960, 48000


def main() -> None:
    wanted, stream = sys.argv[1:]
    session = SessionFolder(Path(wanted), {"pack": "none"})
    recorder = LabRecorder(session.folder / RECORDING, [stream], consent="FORM 7", note={"pack": {}})
    recorder.start()
    listeners = []
    began = pylsl.local_clock()
    session.listen(listeners.append, lambda _frames: began)
    print(f"{began:.9f}", flush=True)
    sent = 0
    noise = np.random.default_rng(0).normal(0.0, 0.1, (BLOCK, 2)).astype(np.float32)
    while True:
        while sent + BLOCK <= (pylsl.local_clock() - began) * RATE:
            listeners[0](noise)
            sent += BLOCK
        time.sleep(0.01)




if __name__ == "__main__":
    main()
