"""Stands in for `harness.running.worker` and does what the name of the variant says."""

import faulthandler
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from harness.running.child import HEADLINE, Ready
from harness.running.data import DataSource
from harness.running.worker import WHERE, Done, Epoch, Job, Orders
from tests.harness.examples import a_cell, a_failure, a_record

FAKE = (sys.executable, "-m", "tests.harness.fake_worker")
LAUNCHER = os.getppid()


def a_job(variant="ok", backend="classical", **changes):
    """Of a cell of which it makes what `variant` says."""
    return Job(a_cell(variant=variant, backend=backend, **changes), DataSource())


def main():
    faulthandler.register(WHERE)
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    for line in sys.stdin.buffer:
        cell = msgspec.json.decode(line, type=Job).cell
        print(f"{HEADLINE}{cell.title}: process {os.getpid()}", file=sys.stderr, flush=True)
        if cell.variant != "never-starts":
            send(Ready())
        match cell.variant:
            case "exits":
                sys.exit("out of patience")
            case "exits-telling-where":
                sys.exit(f"cannot write {orders.results}/models or {Path.home()}/.cache")
            case "is-killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "dies-amid-a-message":
                sys.stdout.buffer.write(msgspec.json.encode(Done(a_record(cell)))[:-10])
                sys.stdout.buffer.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            case "talks-nonsense":
                sys.stdout.buffer.write(b"what?\n")
                sys.stdout.buffer.flush()
            case "crashes":
                faulthandler.enable()
                os.abort()
            case "hangs-once" if not (mark := Path(os.environ["FAKE_MARKS"]) / cell.key).exists():
                mark.touch()
                hang()
            case "hangs" | "never-starts" | "waits":
                hang(until="go-on" if cell.variant == "waits" else None)
            case "grows":
                hoard = np.ones(2**27)  # 1 GiB
                hang()
                del hoard
        fails = cell.variant.endswith("fails")
        record = a_failure(cell, reason="no exporter") if fails else a_record(cell, log=orders.log)
        done = Done(record, peak_gib=99.0 if cell.variant.startswith("hungry") else 0.1)
        for message in (Epoch(1, 2, 0.5, 0.5, 0.6), Epoch(2, 2, 1.0, 0.25, 0.3), done):
            send(message)


def hang(until=None):
    """Until there is a mark of this name, or whoever started this was killed, as workers end with their launcher."""
    while os.getppid() == LAUNCHER and not (until and Path(os.environ["FAKE_MARKS"], until).exists()):
        time.sleep(0.05)


def send(message):
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
