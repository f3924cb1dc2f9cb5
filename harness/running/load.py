"""What else the machine was doing, as Linux counts it in `/proc/stat`; elsewhere nothing is known."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple


class Load(NamedTuple):
    """Core-seconds since some time in the past: all there were, those that anyone worked in, those that the hypervisor
    gave to others (steal), and those that this process worked in.
    """

    cores: float
    busy: float
    stolen: float
    own: float

    def since(self, before: Load) -> Shares | None:
        """Who had the cores since `before`; None where the clock ticks too slowly to tell."""
        cores = self.cores - before.cores
        if cores <= 0:
            return None
        busy, own = self.busy - before.busy, self.own - before.own
        return Shares(max(0.0, busy - own) / cores, max(0.0, self.stolen - before.stolen) / cores)


class Shares(NamedTuple):
    """Which share of the cores, 0 to 1, other processes had, and which the hypervisor."""

    others: float
    stolen: float


def observe(stat: Path = Path("/proc/stat")) -> Load | None:
    """The load until now, None where there is no such file, or none as Linux writes it."""
    try:
        name, *ticks = stat.read_text().splitlines()[0].split()
        user, nice, system, idle, waiting, interrupts, soft, stolen = map(int, ticks[:8])
    except (OSError, ValueError, IndexError):
        return None
    if name != "cpu":
        return None
    busy = user + nice + system + interrupts + soft
    second = os.sysconf("SC_CLK_TCK")
    return Load((busy + idle + waiting + stolen) / second, busy / second, stolen / second, time.process_time())
