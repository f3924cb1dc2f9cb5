"""Climbs with a planted fault.

`python -m tests.parity.planted` plants every fault and prints the table of docs/frameworks.md: where each breaks the
ladder and how large it is; `python -m tests.parity.planted strangers` those of `strangers.py`.
`python -m tests.parity.planted forks` computes faulty sides.
"""

import contextlib
import itertools
import sys
import tempfile
from pathlib import Path
from queue import Empty, LifoQueue

import msgspec

from harness import registry
from harness.parity import side
from harness.parity.ladder import Pair, judge
from harness.parity.sides import SideCrashed, Sides, given
from harness.parity.subjects import ClimbRequest, Framework, deep, groups, subjects
from harness.running.child import end_with_input
from harness.running.data import DataSource
from harness.running.guard import last_words
from harness.running.launch import worker_environment
from tests.forks import Forks, fork_for_each_line
from tests.parity.faults import FAULTS, OF_CLASSES, plant
from tests.parity.strangers import STRANGERS

KERAS, PYTORCH, ONNX = Framework("keras"), Framework("pytorch"), Framework("onnx")
EVERY = FAULTS | OF_CLASSES | STRANGERS
ARRAY_RUNGS = ("structure", "forward", "gradients", "gradcam", "state", "optimizer", "export")


class FaultySides(Sides):
    """Has its sides computed with a fault, each in a process of its own: a fork of one that has imported torch, which
    takes longer than most sides do.
    """

    fault = ""

    def _compute(self, framework, precision, orders):
        try:
            forks = _IDLE.get_nowait()
        except Empty:
            variables = worker_environment(framework.device) | framework.variables()
            forks = Forks("tests.parity.planted", "forks", env=variables)
        log = orders.with_suffix(".log")
        code = forks.run(log, self.fault, orders)
        _IDLE.put(forks)
        return last_words(code, log) if code else ""


_IDLE = LifoQueue()


def compute(fault, orders):
    """The side that orders are about, with a fault: in a fork, which it ends with."""
    end_with_input()
    plant(EVERY[fault])
    side.carry_out(orders)


def a_group(variant, recipe=None, whole=False, suite="elasticity"):
    """The group a variant climbs in by itself; of backbones without export, and without steps of those that have batch
    norms, unless `whole`.

    `recipe` takes the place of the one with exact constants.
    """
    chosen = [item for item in subjects(registry.suite(suite)) if item.name == variant]
    (group,) = groups(ClimbRequest(suite, (KERAS, PYTORCH), variant, ARRAY_RUNGS, "smoke", (0,), Path(), 2), chosen)
    if deep(group.variants[0]) and not (whole or variant.startswith("vgg16")):
        group = group._replace(rungs=tuple(rung for rung in group.rungs if rung != "optimizer"))
    if recipe:
        group = group._replace(variants=[msgspec.structs.replace(group.variants[0], recipes=(recipe,))])
    return group


class Climbs:
    """Sides in a folder, each computed once, of the variants of one suite; faulty ones go when they are judged."""

    def __init__(self, folder, whole=False, suite="elasticity"):
        self._folder, self._known, self._whole = Path(folder), {}, whole
        self._name, self._suite = suite, registry.suite(suite)
        self._dataset = DataSource().load(self._suite)
        self._sides, self._numbers, self._open = {}, itertools.count(), contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    def of(self, framework, variant, fault="", recipe=None, highest="export"):
        """The climb of one framework, to its end at the rung `highest`."""
        key = framework, variant, fault, recipe, highest
        if key not in self._known:
            group = a_group(variant, recipe, self._whole, self._name)
            group = group._replace(rungs=_up_to(highest, group.rungs))
            sides = self._of(framework, FaultySides if fault else Sides)
            sides.fault = fault
            begin = given(self._suite, self._dataset, self._suite.split(self._dataset), group.variants[0], 0)
            climb = sides.start(group, next(self._numbers), begin)
            for computed in climb.running.values():
                computed.result()
            self._known[key] = climb
        return self._known[key]

    def _of(self, framework, kind):
        """Those of a kind, in a folder of their own."""
        if (framework, kind) not in self._sides:
            home = Path(tempfile.mkdtemp(dir=self._folder))
            self._sides[framework, kind] = self._open.enter_context(kind(home, (framework,), 2))
        return self._sides[framework, kind]

    def verdicts(self, variant, theirs=PYTORCH, fault="", highest="export"):
        """Every verdict on Keras and another framework, by rungs up to the `highest`. Raises SideCrashed."""
        ours, other = self.of(KERAS, variant), self.of(theirs, variant, fault, highest=highest)
        pair = Pair(ours.side(KERAS), other.side(theirs), ours.start())
        group = a_group(variant, whole=self._whole, suite=self._name)
        keeps = group.variants[0].recipes[-1].trains != "all"
        rungs = _up_to(highest, group.rungs)
        found = [verdict for rung in rungs for verdict in judge(rung, variant, keeps, pair, 0)]
        if fault:  # a backbone's arrays are half a gigabyte, and there are many faults
            del self._known[theirs, variant, fault, None, highest]
            other.delete()
        return found


def _up_to(highest, rungs):
    return tuple(rung for rung in rungs if ARRAY_RUNGS.index(rung) <= ARRAY_RUNGS.index(highest))


def first_broken(verdicts):
    """The lowest rung's that breaks, float32's where both do; None where none does."""
    return next((verdict for verdict in verdicts if verdict.outcome == "breaks"), None)


def row(name, climbs):
    """A fault's line of the table."""
    fault = EVERY[name]
    try:
        broken = first_broken(climbs.verdicts(fault.variant, fault=name))
    except SideCrashed:
        return f"| {name} | {fault.variant} | structure | the side does not come up | | | |"
    if broken is None:
        return f"| {name} | {fault.variant} | **nowhere** | | | | |"
    numbers = ["" if number is None else f"{number:.2g}" for number in (broken.difference, broken.allowed)]
    cells = (name, fault.variant, broken.rung, broken.worst or broken.note, *numbers, broken.precision)
    return f"| {' | '.join(cells)} |"


def main(names, whole=False, suite="elasticity"):
    print("| planted into PyTorch | variant | breaks at | worst there | difference | allowed | in |")
    print("| --- | --- | --- | --- | --: | --: | --- |")
    with tempfile.TemporaryDirectory() as folder, Climbs(folder, whole, suite) as climbs:
        for name in names:
            print(row(name, climbs), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main(FAULTS)
            main(OF_CLASSES, suite="defects")
        case ["strangers"]:
            main(STRANGERS, whole=True)
        case ["forks"]:
            fork_for_each_line(compute)
