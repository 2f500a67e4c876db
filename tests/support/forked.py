"""Run commands of the program one after another, each in a fork of a process that has loaded the libraries.

Reads lines of JSON (a list of arguments) and answers each with a line: exit code, seconds, MiB of memory, stderr.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback

KILLED_AFTER_S = 30


def load() -> None:
    import diffusers  # noqa: F401
    import mne  # noqa: F401
    import scipy.signal  # noqa: F401
    import soundfile  # noqa: F401
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # noqa: F401
    from transformers import AutoTokenizer, ClapModel, ClapTextModelWithProjection, SpeechT5HifiGan  # noqa: F401

    import bci_music.cli.main
    import bci_music.packing.check  # noqa: F401

    torch.set_num_threads(1)


def child(words: list[str], err: int) -> None:
    os.dup2(err, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.alarm(KILLED_AFTER_S)
    sys.argv = ["bci-music", *words]
    code = 0
    try:
        from bci_music.cli.main import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    load()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ready": base}), flush=True)
    for line in sys.stdin:
        began = time.monotonic()
        with tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                child(json.loads(line), err.fileno())
            _, status, used = os.wait4(pid, 0)
            err.seek(0)
            text = err.read().decode("utf-8", "replace")
        answer = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began,
                  "mib": used.ru_maxrss / 1024, "cpu": used.ru_utime + used.ru_stime, "stderr": text}  # fmt: skip
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
