"""Every variant climbs the rungs of `ladder.RUNGS`.

Arrays are compared with exact constants: learning rate, betas and epsilon of Adam are powers of two or sums of few, so
that no framework rounds them. Each side is computed in a process of its own. What it leaves behind may be gigabytes,
and is deleted once it is judged; of some a copy is kept for the next climb.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import registry
from harness.errors import BenchError
from harness.model.architecture import Imported, Network
from harness.model.variants import Variant
from harness.parity import trained
from harness.parity.kept import Kept
from harness.parity.ladder import Pair, Verdict, judge
from harness.parity.sides import Climb, SideCrashed, Sides, given
from harness.parity.subjects import ClimbRequest, Group, groups, standing_for, subjects
from harness.protocol import Dataset, Suite
from harness.running.chosen import by_owner, chosen, settled
from harness.running.data import DataSource
from harness.running.guard import Limits
from harness.streams import tell


def climb(request: ClimbRequest) -> Iterator[list[Verdict]]:
    """The verdicts of each rung of each variant, as they are found. Raises BenchError for an unknown variant, and for
    one of the user's own that is no network on images.
    """
    suite = registry.suite(request.suite)
    if request.suite not in registry.with_data():
        raise BenchError(f"suite={request.suite}: has no data to climb with: choose {', '.join(registry.with_data())}")
    dataset = DataSource().load(suite)
    of_suite, of_user = by_owner(request.variants)
    own = _own(request.suite, of_user, dataset) if of_user else []
    everything = {variant.name: variant for variant in subjects(suite, own)}
    stands = standing_for(suite, own)
    asked = registry.choose(",".join(of_suite), stands, "variant") if of_suite else ()
    asked = tuple(dict.fromkeys([*asked, *(variant.name for variant in own)]))
    climbing = [everything[name] for name in dict.fromkeys(stands[name] for name in asked)]
    if request.variants != "all":
        for name in asked:
            if stands[name] != name:
                tell(f"{stands[name]} climbs for {name}, which trains the same parts of the same network")
    lacking = [f"{framework.label}: {why}" for framework in request.between if (why := framework.lacking())]
    if lacking:
        for variant, rung in itertools.product(climbing, request.rungs):
            yield [Verdict(variant.name, rung, "skipped", note="; ".join(lacking))]
        return
    yield from _climb_arrays(request, suite, dataset, climbing)
    if "training" in request.rungs:
        yield from trained.training(request, suite, climbing)
    if "statistics" in request.rungs:
        yield from trained.statistics(request, climbing)


def _own(suite_name: str, words: Sequence[str], dataset: Dataset) -> list[Variant]:
    """The user's own variants that these words name, as they are for this data set."""
    found, suite = [], registry.suite(suite_name)
    for item in chosen(suite_name, ",".join(words)):
        variant = item.variant
        if isinstance(variant.architecture, Imported):
            raise BenchError(
                f"variant={variant.name}: is code of one framework. Two models of your own are compared by "
                "`bench parity pair=FILE.py`"
            )
        if not isinstance(variant.architecture, Network) or variant.encoding:
            raise BenchError(f"variant={variant.name}: climbs only as a network that is given the image itself")
        found.append(settled(item, suite, dataset, suite.split(dataset), Limits()).variant)
    return found


def _climb_arrays(
    request: ClimbRequest, suite: Suite, dataset: Dataset, chosen: Sequence[Variant]
) -> Iterator[list[Verdict]]:
    climbs = itertools.product([group for group in groups(request, chosen) if group.rungs], request.seeds)
    split = suite.split(dataset)
    under_way: deque[tuple[Group, int, Climb]] = deque()
    kept = Kept(request.results / "cache" / "parity" / "sides", request.keep) if request.keep else None
    with tempfile.TemporaryDirectory() as folder, Sides(Path(folder), request.between, request.workers, kept) as sides:
        for group, seed in climbs:
            begin = given(suite, dataset, split, group.variants[0], seed)
            under_way.append((group, seed, sides.start(group, seed, begin)))
            if len(under_way) > _AHEAD:
                yield from _judged(request, *under_way.popleft())
        while under_way:
            yield from _judged(request, *under_way.popleft())
    if kept and kept.found:
        tell(f"{kept.found} sides are as an earlier climb left them, and were not computed again")


_AHEAD = 1  # how many climbs are begun before the oldest is judged, so that no worker waits for another's judgement


def _judged(request: ClimbRequest, group: Group, seed: int, climb: Climb) -> Iterator[list[Verdict]]:
    rungs = group.climbs()
    try:
        ours, theirs = (climb.side(framework) for framework in request.between)
    except SideCrashed as crash:
        yield from ([Verdict(variant.name, rung, "breaks", note=str(crash), seed=seed)] for variant, rung in rungs)
        return
    unavailable = [f"{side.label}: {side.told.unavailable}" for side in (ours, theirs) if side.told.unavailable]
    pair = Pair(ours, theirs, climb.start())
    for variant, rung in rungs:
        if unavailable:
            yield [Verdict(variant.name, rung, "skipped", note="; ".join(unavailable), seed=seed)]
        elif verdicts := judge(rung, variant.name, variant.recipes[-1].trains != "all", pair, seed):
            yield verdicts
    climb.delete()
