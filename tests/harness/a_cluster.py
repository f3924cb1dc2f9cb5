"""Dask schedulers and workers as processes of their own, for tests of what runs on them."""

import contextlib
import json
import os
import subprocess
import sys
import time

from distributed import Client


class Town:
    """Processes that were started, all of which end with it; what they say is in `folder`."""

    def __init__(self, folder, *tls, protocol="tcp", host="127.0.0.1", before=""):
        self.folder, self._tls, self._processes = folder, tls, []
        told = folder / "scheduler.json"
        words = ["--host", f"{protocol}://{host}", "--port", "0", "--no-dashboard"]
        code = f"{before}\nfrom distributed.cli.dask_scheduler import main\nmain()"
        self.scheduler = self.start([sys.executable, "-c", code, *words, "--scheduler-file", str(told), *tls])
        await_that(lambda: told.exists() or self.scheduler.poll() is not None)
        self.address = json.loads(until(told.read_text))["address"]

    def worker(self, *words, threads=1, before="", within=(), folder=None, nanny=False, **variables):
        """Start a worker, after some Python code in its process; with Dask's nanny, which starts it again."""
        code = f"{before}\nfrom distributed.cli.dask_worker import main\nif __name__ == '__main__':\n    main()"
        settings = ["--nthreads", str(threads), "--nanny" if nanny else "--no-nanny", "--no-dashboard"]
        settings += ["--local-directory", str(folder or self.folder)]
        command = [*within, sys.executable, "-c", code, self.address, *settings, *self._tls, *words]
        return self.start(command, **variables)

    def start(self, command, **variables):
        variables["DASK_TEMPORARY_DIRECTORY"] = str(self.folder)
        log = (self.folder / f"{len(self._processes)}.log").open("wb")
        process = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=log, env={**os.environ, **variables})
        self._processes.append(process)
        return process

    def end(self):
        for process in self._processes:
            process.kill()
            process.wait()


def until(read):
    """What is read, once it is not empty."""
    found = []
    await_that(lambda: found.append(read()) or found[-1])
    return found[-1]


def await_that(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@contextlib.contextmanager
def town(folder, *tls, **options):
    started = Town(folder, *tls, **options)
    try:
        yield started
    finally:
        started.end()


@contextlib.contextmanager
def client_of(address, workers=0, **options):
    """Connected, and so many workers there."""
    with Client(address, set_as_default=False, **options) as client:
        client.wait_for_workers(workers, timeout=60) if workers else None
        yield client
