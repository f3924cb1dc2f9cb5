"""Stands in for `harness.worker` and does what the name of the variant says."""

import os
import signal
import sys
import threading
from pathlib import Path

import msgspec

from harness.worker import Done, Epoch, Job, Orders
from tests.harness.examples import a_record


def main():
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    for line in sys.stdin.buffer:
        cell = msgspec.json.decode(line, type=Job).cell
        print(f"{cell.title}: process {os.getpid()}", file=sys.stderr, flush=True)
        match cell.variant:
            case "exits":
                sys.exit("out of patience")
            case "exits telling where":
                sys.exit(f"cannot write {orders.results}/models or {Path.home()}/.cache")
            case "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                threading.Event().wait()
        done = Done(a_record(cell, log=orders.log), peak_gib=99.0 if cell.variant == "hungry" else 0.1)
        for message in (Epoch(1, 2, 0.5, 0.5, 0.6), Epoch(2, 2, 1.0, 0.25, 0.3), done):
            sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
