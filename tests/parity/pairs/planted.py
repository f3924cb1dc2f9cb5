"""Climbs of pairs with a planted fault; `python -m tests.parity.pairs.planted` plants all and prints what was found."""

import importlib
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from harness.foreign import Source
from harness.parity.pairs.climb import RUNGS as ALL_RUNGS
from harness.parity.pairs.climb import PairRequest, Pairs
from harness.parity.pairs.exports import RUNG as EXPORT
from harness.running.guard import Limits
from tests.parity.pairs.faults import FAULTS, pair_file

RUNGS = tuple(rung for rung in ALL_RUNGS if rung != EXPORT)  # of what test_exports.py is about
PAIRS = tuple(dict.fromkeys(fault.pair for fault in FAULTS.values()))
HERE = Path(__file__).parent


def plant(name, namespace, pair):
    """Put into a file's names those of the pair, with a fault in its torch module."""
    module = importlib.import_module(f"tests.parity.pairs.{pair}")
    namespace.update({key: value for key, value in vars(module).items() if not key.startswith("__")})

    def torch_model():
        import torch

        at = SimpleNamespace(torch=torch, nn=torch.nn, F=torch.nn.functional, model=module.torch_model())
        FAULTS[name].plant(at)
        namespace.update({f"torch_{key}": getattr(at, key) for key in ("loss", "optimizer") if hasattr(at, key)})
        return at.model

    namespace["torch_model"] = torch_model


def source(kind, path):
    return Source(kind, str(path), f"{kind}_model", str(path))


class Planted:
    """Two processes for all pairs, and files with faults in a folder."""

    def __init__(self, folder):
        self._folder, first = Path(folder), HERE / f"{PAIRS[0]}.py"
        self._pairs = Pairs(source("keras", first), source("torch", first), Limits())

    def close(self):
        self._pairs.__exit__()

    def climb(self, pair, seeds=(0,)):
        """All verdicts on a pair as it should be."""
        path = HERE / f"{pair}.py"
        return self._verdicts(pair, path, path, seeds)

    def faulty(self, name):
        """The verdicts on a pair with a fault, on the rungs up to the one that it should break."""
        pair = FAULTS[name].pair
        path = self._folder / f"{re.sub('[^a-z0-9]+', '_', name.lower())}.py"
        path.write_text(pair_file(name))
        rungs = {"structure": RUNGS[:1], "forward": RUNGS[:2]}.get(FAULTS[name].rung, RUNGS)
        return self._verdicts(pair, HERE / f"{pair}.py", path, (0,), rungs)

    def _verdicts(self, pair, ours, theirs, seeds, rungs=RUNGS):
        request = PairRequest(pair, source("keras", ours), source("torch", theirs), rungs, seeds)
        return [verdict for verdicts in self._pairs.climb(request) for verdict in verdicts]


def broken(verdicts):
    """What breaks on the lowest rung that does."""
    breaks = [verdict for verdict in verdicts if verdict.outcome == "breaks"]
    return [verdict for verdict in breaks if verdict.rung == breaks[0].rung]


def found(name, verdicts):
    """Whether a fault was found where it is: in either precision, for float64 is the sharper."""
    fault = FAULTS[name]
    told = " ".join(f"{verdict.worst}; {verdict.note}" for verdict in broken(verdicts) if verdict.rung == fault.rung)
    return any(where in told for where in fault.where.split("|")) if told else False


def main(names):
    with tempfile.TemporaryDirectory() as folder:
        planted = Planted(folder)
        for name in names:
            verdicts = planted.faulty(name)
            mark = "" if found(name, verdicts) else "  <-- not where it should be"
            told = [f"{each.rung:<9} {each.precision} {each.worst}; {each.note}"[:250] for each in broken(verdicts)]
            print(f"{name:<65} {(told or ['nowhere'])[-1]}{mark}", flush=True)
        planted.close()


if __name__ == "__main__":
    main([name for name in FAULTS if not sys.argv[1:] or name.partition(":")[0] in sys.argv[1:]])
