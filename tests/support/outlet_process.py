"""An LSL outlet in a process of its own, with a sample counter in every channel: to be stopped, killed, started again.

Row n has the value n in the first channel (n modulo 4096, or noise, in the others); its true time is t0 + n / rate.
What happens after the process was stopped and goes on (SIGSTOP, SIGCONT) is the `--mode`:

* skip: the samples of the pause are never sent, later ones carry true stamps;
* true: they are sent at once with true stamps;
* catchup: they are sent at once, each stamped with the time of sending.

Stamps may follow another clock: it lies `--offset` s from LSL's, runs faster by the part `--drift`, and jumps by
`--jump` s after `--jump-after` s of samples. With `--counted` LSL makes the stamps, from the time of sending.

The first line printed is t0, each further one tells for how long the process did not run.
"""

import argparse
import sys
import time

import numpy as np
import pylsl


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--source-id", default="")
    parser.add_argument("--type", default="EEG")
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--labels", default="auto", help="comma separated; auto: E1...; none: no description")
    parser.add_argument("--types", default="", help="comma separated; one for all is enough")
    parser.add_argument("--unit", default="uV")
    parser.add_argument("--format", default="float32")
    parser.add_argument("--chunk", type=int, default=10)
    parser.add_argument("--mode", choices=["skip", "true", "catchup"], default="true")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--noise", type=float, default=0.0, help="SD of noise in all channels but the first")
    parser.add_argument("--stated", type=float, default=None, help="nominal rate, if it is not the true one")
    parser.add_argument("--offset", type=float, default=0.0)
    parser.add_argument("--unix", action="store_true", help="stamps in Unix time")
    parser.add_argument("--drift", type=float, default=0.0)
    parser.add_argument("--jump", type=float, default=0.0)
    parser.add_argument("--jump-after", type=float, default=3.0)
    parser.add_argument("--counted", action="store_true")
    parser.add_argument("--tag", default="label", help="element that holds the names of the channels")
    parser.add_argument("--silent", action="store_true", help="never send a sample")
    return parser.parse_args()


def describe(args: argparse.Namespace) -> pylsl.StreamInfo:
    stated = args.rate if args.stated is None else args.stated
    info = pylsl.StreamInfo(args.name, args.type, args.channels, stated, args.format, args.source_id)
    if args.labels == "none":
        return info
    labels = [f"E{i + 1}" for i in range(args.channels)] if args.labels == "auto" else args.labels.split(",")
    types = (args.types or "EEG").split(",")
    types = types * len(labels) if len(types) == 1 else types
    channels = info.desc().append_child("channels")
    for label, kind in zip(labels, types, strict=True):
        channel = channels.append_child("channel")
        channel.append_child_value(args.tag, label)
        channel.append_child_value("type", kind)
        channel.append_child_value("unit", args.unit)
    return info


def stamp(args: argparse.Namespace, start_s: float, time_s: float) -> float:
    """What the sender's clock shows at a time of LSL's."""
    passed = time_s - start_s
    offset = args.offset + (time.time() - pylsl.local_clock() if args.unix else 0.0)
    return time_s + offset + args.drift * passed + (args.jump if passed >= args.jump_after else 0.0)


def main() -> None:
    args = parse()
    outlet = pylsl.StreamOutlet(describe(args), args.chunk)
    dtype = {"double64": "float64"}.get(args.format, args.format)
    start_s = pylsl.local_clock()
    print(f"{start_s:.9f}", flush=True)
    sent, rng = 0, np.random.default_rng(0)
    now = start_s
    while now < start_s + args.seconds:
        time.sleep(0.004)
        before, now = now, pylsl.local_clock()
        if now - before > 0.05:
            print(f"{now - before:.6f}", flush=True)  # a pause, or no processor to run on
        due = int((now - start_s) * args.rate)
        if args.silent or due - sent < args.chunk:
            continue
        if args.mode == "skip" and due - sent > 0.2 * args.rate:
            sent = due
            continue
        while due - sent >= args.chunk:
            count = np.arange(sent, sent + args.chunk)
            rows = np.repeat((count % 4096)[:, None], args.channels, axis=1).astype(dtype)
            if args.noise:
                rows[:] = rng.normal(0.0, args.noise, rows.shape)
            rows[:, 0] = count
            sent += args.chunk
            behind = now - (start_s + sent / args.rate)
            if args.mode == "catchup" and behind > 0.2:
                for row in rows:
                    outlet.push_sample(row, pylsl.local_clock())
            elif args.counted:
                outlet.push_chunk(rows)
            elif args.drift or args.jump:
                for number, row in enumerate(rows):
                    outlet.push_sample(row, stamp(args, start_s, start_s + (count[number]) / args.rate))
            else:
                outlet.push_chunk(rows, stamp(args, start_s, start_s + (sent - 1) / args.rate))


if __name__ == "__main__":
    sys.exit(main())
