"""Which launcher a run was asked to have its cells done by, and how it is had; Dask is imported where it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from harness.errors import BenchError
from harness.judging.records import Cell
from harness.model.architecture import Imported
from harness.running.crew import Launcher
from harness.running.launch import Local, Post
from harness.running.plan import Request

if TYPE_CHECKING:
    from distributed import Client

SELDOM = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
}
"""Dask looks at itself 50 to 100 times a second: some 6 % of a core, taken from cells that keep all cores busy."""


@contextlib.contextmanager
def opened(request: Request, cells: Iterable[Cell]) -> Iterator[Launcher]:
    """The launcher for these cells. Raises BenchError where its cluster cannot be had, and as `refuse_code` does."""
    cells = list(cells)
    refuse_code(request, cells)
    device = request.settings.device
    if request.launcher == "local":
        with contextlib.closing(Local(Post(request.results, device, request.limits), request.workers)) as local:
            yield local
        return
    from harness.running.cluster import Cluster  # noqa: PLC0415  optional
    from harness.running.host import Errand  # noqa: PLC0415

    pairs = tuple(sorted({(cell.backend, cell.suite) for cell in cells}))
    memory = request.limits.memory_gib if math.isfinite(request.limits.memory_gib) else None
    packages = tuple(sorted({package for cell in cells for package in cell.packages}))
    run = f"cijbench-{uuid.uuid4().hex[:12]}"
    errand = Errand(run, device, pairs, request.limits.seconds, memory, packages=packages)
    with _client(request) as client:
        print(f"cluster: {client.scheduler.address}, dashboard: {client.dashboard_link}")
        cluster = Cluster(client, request.results, errand)
        try:
            yield cluster
        finally:
            cluster.leave()


def refuse_code(request: Request, cells: Iterable[Cell]) -> None:
    """Raise BenchError for code of the user's own among cells of other machines, to which it is not sent."""
    own = sorted({cell.variant for cell in cells if isinstance(cell.architecture, Imported)})
    if own and (request.scheduler or request.launcher == "slurm"):
        raise BenchError(
            f"variant={','.join(own)}: code of your own is not sent to other machines: run it with launcher=local, or "
            "launcher=dask without scheduler=; a variant in a TOML file runs anywhere"
        )


def refuse_unusable(request: Request) -> None:
    """Raise BenchError where what was said of a launcher does not fit it, or what it needs is not installed."""
    if request.scheduler and request.launcher != "dask":
        raise BenchError(f"scheduler={request.scheduler}: is only for launcher=dask, not for {request.launcher}")
    if (request.launcher == "slurm") != (request.settings_file is not None):
        raise BenchError("launcher=slurm and slurm=FILE.toml must be given together: docs/cluster.md has an example")
    needs = {"dask": "distributed", "slurm": "dask_jobqueue"}.get(request.launcher)
    if needs and importlib.util.find_spec(needs) is None:
        raise BenchError(
            f"launcher={request.launcher}: {needs.replace('_', '-')} is not installed: "
            f"pip install 'cijbench[{request.launcher}]'"
        )


@contextlib.contextmanager
def _client(request: Request) -> Iterator[Client]:
    """Connected to the cluster that stands, or to one that ends with this. Raises BenchError where nobody answers."""
    import distributed  # noqa: PLC0415  optional

    if request.scheduler:
        _refuse_no_scheduler(request.scheduler)
        with distributed.Client(request.scheduler, set_as_default=False) as client:
            yield client
        return
    with _own_cluster(request) as cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


def _refuse_no_scheduler(address: str) -> None:
    """Raise BenchError where no scheduler answers that can pass cells on. Asked by a client that closes in good order:
    one that others wait for says of an address that is none, at its end, that it could not be closed, and waits without
    end for who takes the connection and says nothing.
    """
    import dask  # noqa: PLC0415  optional
    import distributed  # noqa: PLC0415
    from distributed.utils import LoopRunner  # noqa: PLC0415

    from harness.running import host  # noqa: PLC0415

    seconds = 2 * dask.utils.parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))

    async def ask() -> None:
        client = distributed.Client(address, asynchronous=True, set_as_default=False)
        try:
            async with asyncio.timeout(seconds):
                await client
                await client.run_on_scheduler(callable, host.work)  # it reads what it passes on
        finally:
            await client.close()

    try:
        LoopRunner().run_sync(ask)  # in a thread of its own, for notebooks have a loop in theirs
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f"scheduler={address}: cannot pass cells on, because it runs without this cijbench ({error}): start it in "
            "the same environment as its workers"
        ) from error
    except (OSError, ValueError, TypeError) as error:  # the last of TLS without certificates
        why = str(error) or f"no answer within {seconds:g} s"
        raise BenchError(f"scheduler={address}: no scheduler answers there: {why}") from error


def _own_cluster(request: Request) -> Any:
    import dask  # noqa: PLC0415  optional
    import distributed  # noqa: PLC0415

    if request.launcher == "slurm":
        from harness.running import slurm  # noqa: PLC0415

        assert request.settings_file  # see `refuse_unusable`
        return slurm.cluster(request.settings_file, request.results / "logs")
    # One Dask worker: what keeps the cores busy are the processes that it starts.
    with dask.config.set(SELDOM):
        return distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=request.workers,
            processes=True,
            memory_limit=0,  # each cell has a limit of its own
            dashboard_address="127.0.0.1:8787",
        )
