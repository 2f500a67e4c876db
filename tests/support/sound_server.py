"""A private PulseAudio server with a null sink: real PortAudio playback, captured, on machines without a sound card."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

FORMAT = ("--format=float32le", "--rate=48000", "--channels=2")


class SoundServer:
    """The server's address, and captures of what its sink plays."""

    def __init__(self, folder: Path):
        self.address = f"unix:{folder}/native"
        self._folder = folder
        self._process = None

    @staticmethod
    def missing() -> str:
        """Name the programs that are not installed, "" if none."""
        return ", ".join(name for name in ("pulseaudio", "parec", "pactl") if shutil.which(name) is None)

    def start(self) -> None:
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(self._folder), "HOME": str(self._folder)}
        self._process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
             "-L", f"module-native-protocol-unix socket={self._folder}/native auth-anonymous=1",
             "-L", "module-null-sink sink_name=out rate=48000 format=float32le channels=2"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while subprocess.run(["pactl", "--server", self.address, "info"], capture_output=True).returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("PulseAudio did not start")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    @contextmanager
    def capture(self):
        """Record the sink's monitor; the list that is yielded holds the (n, 2) float32 samples afterwards."""
        path, captured = self._folder / "capture.raw", []
        with path.open("wb") as file:
            process = subprocess.Popen(
                ["parec", "--server", self.address, "-d", "out.monitor", "--latency-msec=50", *FORMAT], stdout=file
            )
            deadline = time.monotonic() + 10
            while path.stat().st_size == 0 and time.monotonic() < deadline:
                time.sleep(0.02)
            try:
                yield captured
            finally:
                process.terminate()
                process.wait(10)
        raw = np.fromfile(path, np.float32)
        captured.append(raw[: len(raw) // 2 * 2].reshape(-1, 2))


@contextmanager
def sound_server():
    """Run a server and point PortAudio to it for the time of the context."""
    import sounddevice

    with tempfile.TemporaryDirectory(prefix="snd") as folder:
        server = SoundServer(Path(folder))
        server.start()
        before = os.environ.get("PULSE_SERVER")
        os.environ["PULSE_SERVER"] = server.address
        try:
            restart(sounddevice)
            yield server
        finally:
            os.environ.pop("PULSE_SERVER")
            if before is not None:
                os.environ["PULSE_SERVER"] = before
            server.stop()
            restart(sounddevice)


def restart(sounddevice) -> None:
    """PortAudio lists devices once, when it starts."""
    sounddevice._terminate()
    sounddevice._initialize()


def longest_match(captured: np.ndarray, written: np.ndarray, skip: int) -> tuple[int, int]:
    """Find `written[skip:]` in `captured` sample by sample: (frames compared, frames that differ)."""
    probe = written[skip : skip + 256]
    first = np.flatnonzero(captured[:, 0] == probe[0, 0])
    starts = [s for s in first if np.array_equal(captured[s : s + len(probe)], probe)]
    if not starts:
        return 0, len(written)
    n = min(len(written) - skip, len(captured) - starts[0])
    return n, int((captured[starts[0] : starts[0] + n] != written[skip : skip + n]).any(axis=1).sum())
