"""The columns of a leaderboard: one entry each, with unit, which way is better, what it says, how it is computed.

`{unit}` stands for the unit of the suite's targets. A suite's own figures (`Suite.METRICS`) and the R² of each target
come between scores and costs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from harness.environment import switches
from harness.judging.blocks import Difference, Row, difference
from harness.judging.metrics import NO_SKILL, unlike
from harness.judging.records import Examined, LatencyRecord, Record
from harness.judging.reproductions import Reproduced
from harness.judging.stats import FEWEST_IMAGES, spread
from harness.judging.timing import Timing
from harness.provenance import machine

NO_BETTER = "no better than the mean"
BETTER = "better than the mean"
WORSE = "worse than the mean"
TOO_FEW = "too few test images"
_OVER = {"better": "better than", "worse": "worse than", "not told apart": "not better than"}
IN_UNITS = frozenset({"rmse", "mae", "mse", "mse_of_mean"})
"""Scores of targets in their own unit, which add up where they share it."""

Timings = Mapping[tuple[str, str, str], LatencyRecord]
"""By the training record's key, the model's SHA-256 and the machine."""


class Group:
    """What a row is made of: records that differ in nothing but their seed, by ascending seed."""

    def __init__(
        self,
        records: Sequence[Record],
        timings: Timings,
        rival: Row | None = None,
        p_value: float | None = None,
        reproduced: Reproduced | None = None,
    ) -> None:
        self.records, self.first, self.rival, self.p_value = records, records[0], rival, p_value
        self.reproduced = reproduced
        self.good = [record for record in records if record.status == "ok"]
        self.tests = [record.test for record in self.good if record.test]
        self._timings = timings

    @cached_property
    def unit(self) -> str:
        """The targets' unit."""
        return next((record.held_out.unit for record in self.good if record.held_out), "")

    @property
    def seeds(self) -> str:
        """The seeds that ended well."""
        return _seeds(self.good)

    @cached_property
    def adds_up(self) -> bool:
        """Whether its targets share a unit, so that errors of all of them have a mean."""
        return not any(unlike(record.held_out.units) for record in self.good if record.held_out)

    def values(self, score: str) -> list[float | None]:
        """A score of each seed; None where it would add up unlike units."""
        return [getattr(test, score) if self.has(score) else None for test in self.tests]

    def has(self, score: str) -> bool:
        """Whether its targets have such a score together."""
        return self.adds_up or score not in IN_UNITS

    @cached_property
    def examined(self) -> dict[str, list[Examined]]:
        """What each seed made of each named test, the one that models are ranked by first."""
        tests: dict[str, list[Examined]] = {}
        for record in self.good:
            for name, tested in record.examined.items():
                tests.setdefault(name, []).append(tested)
        return tests

    @cached_property
    def interval(self) -> tuple[float | None, float | None]:
        """95 % interval of the skill on the test that models are ranked by."""
        low, high = self.scored.skill_interval() if self.scored else (np.nan, np.nan)
        return (None, None) if np.isnan(low) else (low, high)

    @cached_property
    def verdict(self) -> str:
        """What the interval allows to say; of a rival what the p-value does, too, where it is known."""
        if not self.tests:
            return ""
        if self.good[0].held_out and self.good[0].held_out.things < FEWEST_IMAGES:
            return TOO_FEW
        low, high = self.interval
        if high is not None and high < -NO_SKILL:
            return WORSE
        if not (low or 0.0) > NO_SKILL:  # also where skill is undefined
            return NO_BETTER
        if self.rival is None or self.over_rival is None:
            return BETTER
        return over(self.rival.name, self.over_rival)

    @cached_property
    def over_rival(self) -> Difference | None:
        """How much higher its skill is than the rival's, on the same test images."""
        if not (self.scored and self.rival):
            return None
        return difference(self.scored, self.rival)._replace(p_value=np.nan if self.p_value is None else self.p_value)

    @cached_property
    def scored(self) -> Row | None:
        """Its `ok` records as a row whose predictions can be compared; None where it has none."""
        tested = tuple(record for record in self.good if record.held_out)
        return Row(self.first.cell.row, self.first.cell.backend, tested) if tested else None

    @property
    def sized_alike(self) -> list[Record]:
        """Those whose models are as large as the first seed's, whose size and latency the row states: a search may
        select another model for each seed.
        """
        return [record for record in self.good if record.counts == self.good[0].counts]

    @cached_property
    def timed(self) -> LatencyRecord | None:
        """The newest timing of any of those: latency depends on the graph, not on the weights in it."""
        places = [(r.key, r.onnx.sha256, machine(r.environment)) for r in self.sized_alike if r.onnx]
        found = [self._timings[place] for place in places if place in self._timings]
        return max(found, key=lambda item: item.started, default=None)

    def timing(self, batch: int) -> Timing | None:
        """How long a batch of this size takes, None where it was not timed."""
        return self.timed.latency.of(batch) if self.timed else None


def over(rival: str, found: Difference) -> str:
    """The verdict on a network that is better than the mean, by how much higher its skill is than its rival's; empty
    where too few test images tell.
    """
    return f"{_OVER[found.verdict]} {rival}" if found.verdict in _OVER else ""


class Column(NamedTuple):
    """`of` gives a string, a number, or None where there is nothing to say; `sentence` says what that is, and `better`
    which way. `heading` is what stands over it where people read; the name, where there is none.
    """

    name: str
    sentence: str
    of: Callable[[Group], object]
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    heading: str = ""

    @property
    def title(self) -> str:
        """What stands over it, without its unit."""
        return self.heading or self.name


# --- scores -------------------------------------------------------------------------------------------------------


def _mean(score: str, factor: float = 1.0) -> Callable[[Group], float | None]:
    return lambda group: mean(group.values(score), factor)


def _deviation(score: str) -> Callable[[Group], float | None]:
    return lambda group: spread(group.values(score)) if group.tests else None


def _rival(group: Group) -> str | None:
    return group.rival.name if group.rival and group.over_rival else None


def _over_rival(part: str) -> Callable[[Group], float | None]:
    return lambda group: getattr(group.over_rival, part) if group.over_rival else None


SCORES = (
    Column("variant", "the model, and what its backbone started from", lambda g: g.first.cell.row, heading="model"),
    Column("backend", "the framework that trained it", lambda g: g.first.cell.backend),
    Column("status", "ok, or how many seeds have no result and why", lambda g: status(g.records)),
    Column(
        "verdict",
        "what the interval of skill, and that of over_rival with its p-value, allow to say",
        lambda g: g.verdict,
    ),
    Column("skill", "1 - MSE / MSE of always answering the training mean", _mean("skill"), better="higher"),
    Column("skill_low", "lower end of its 95 % interval", lambda g: g.interval[0], heading="skill, 95 % from"),
    Column("skill_high", "upper end of its 95 % interval", lambda g: g.interval[1], heading="skill, 95 % to"),
    Column(
        "skill_sd", "its standard deviation over seeds", _deviation("skill"), better="lower", heading="skill ± seeds"
    ),
    Column(
        "rival",
        "of a network: the best row without one, by the validation images",
        _rival,
        heading="rival (best without a network)",
    ),
    Column(
        "over_rival",
        "by how much its skill is higher than that one's",
        _over_rival("value"),
        better="higher",
        heading="skill over rival",
    ),
    Column("over_rival_low", "lower end of its 95 % interval", _over_rival("low"), heading="over rival, 95 % from"),
    Column("over_rival_high", "upper end of its 95 % interval", _over_rival("high"), heading="over rival, 95 % to"),
    Column(
        "over_rival_p_holm",
        "p-value of its being zero, after Holm among all models of the table with the same rival",
        lambda g: g.p_value,
        heading="over rival, p (Holm)",
    ),
    Column("r2", "coefficient of determination, mean over targets", _mean("r2_mean"), better="higher", heading="R²"),
    Column("r2_sd", "its standard deviation over seeds", _deviation("r2_mean"), better="lower", heading="R² ± seeds"),
    Column(
        "nmae_percent",
        "mean absolute error over the mean label",
        _mean("nmae", 100),
        unit="%",
        better="lower",
        heading="NMAE",
    ),
    Column(
        "mape_percent", "mean of absolute errors over labels", _mean("mape"), unit="%", better="lower", heading="MAPE"
    ),
    Column("rmse_{unit}", "root mean squared error", _mean("rmse"), unit="{unit}", better="lower", heading="RMSE"),
    Column(
        "rmse_{unit}_sd",
        "its standard deviation over seeds",
        _deviation("rmse"),
        unit="{unit}",
        better="lower",
        heading="RMSE ± seeds",
    ),
    Column("mae_{unit}", "mean absolute error", _mean("mae"), unit="{unit}", better="lower", heading="MAE"),
    Column("mse_{unit}2", "mean squared error", _mean("mse"), unit="{unit}²", better="lower", heading="MSE"),
    Column(
        "mse_of_mean_{unit}2",
        "that of always answering the training mean",
        _mean("mse_of_mean"),
        unit="{unit}²",
        heading="MSE of the mean",
    ),
)


def status(records: Sequence[Record]) -> str:
    """`ok`, or how many seeds have no result, and why the first has none."""
    bad = [record for record in records if record.status != "ok"]
    if not bad:
        return "ok"
    counts = f"{len(bad)} of {len(records)} {bad[0].status}"
    return f"{counts}: {bad[0].reason}".splitlines()[0][:200]


def _of_targets(group: Group) -> list[Column]:
    targets = group.tests[0].r2 if group.tests else {}
    return [
        Column(f"r2_{name}", f"R² of {name}", _r2_of(name), better="higher", heading=f"R² of {name}")
        for name in targets
    ]


def _r2_of(target: str) -> Callable[[Group], object]:
    return lambda group: mean([test.r2[target] for test in group.tests])


def _of_suite(group: Group) -> list[Column]:
    names = group.good[0].metrics if group.good else {}
    return [Column(name, "", _figure("metrics", name)) for name in names]


def _of_symmetries(group: Group) -> list[Column]:
    keys = group.good[0].moved if group.good else {}
    return [Column(change_under(key), "", _figure("moved", key)) for key in keys]


# --- what models know of their errors -----------------------------------------------------------------------------


def calibrated(good: Sequence[Record], test: str) -> dict[str, list[float | None]]:
    """How intervals and flags did on a test, by seed; empty where records are too old to have any."""
    told = [record.calibrated[test] for record in good if test in record.calibrated]
    if not told or len(told) < len(good):
        return {}
    return {"coverage_90": [one.covered for one in told], "flagged": [one.flagged for one in told]}


def _calibrated(name: str) -> Callable[[Group], float | None]:
    def of(group: Group) -> float | None:
        held_out = group.good[0].held_out if group.good else None
        return mean(calibrated(group.good, held_out.test).get(name, [])) if held_out else None

    return of


CALIBRATION = (
    Column(
        "coverage_90",
        "share of the test's truths inside the intervals, or sets of classes, of 90 % that the exported model gives",
        _calibrated("coverage_90"),
    ),
    Column(
        "flagged",
        "share of the test images that it flags as unlike those it was trained on; 0.05 of images like these",
        _calibrated("flagged"),
    ),
)


def change_under(symmetry: str) -> str:
    """The column of how much predictions change under a symmetry, by its key."""
    return f"change_{symmetry}_{{unit}}"


def _figure(field: Literal["metrics", "moved"], name: str) -> Callable[[Group], object]:
    return lambda group: float(np.mean([getattr(record, field).get(name, np.nan) for record in group.good]))


# --- costs --------------------------------------------------------------------------------------------------------


def _count(name: str) -> Callable[[Group], object]:
    return lambda g: getattr(g.good[0].counts, name) if g.good and g.good[0].counts else None


def _file(name: str) -> Callable[[Group], object]:
    return lambda g: next((getattr(record.onnx, name) for record in g.good if record.onnx), None)


def _timing(name: str, batch: int) -> Callable[[Group], object]:
    return lambda g: getattr(g.timing(batch), name, None)


def _ratio(name: str, batch: int) -> Callable[[Group], object]:
    """Empty where an encoding that the exported model does not do is part of the time: no reference has one."""
    return lambda g: None if g.good and g.good[0].encoding_ms is not None else _timing(name, batch)(g)


def _milliseconds(name: str, batch: int) -> Callable[[Group], float | None]:
    """With the time of an encoding that the exported model does not do, one image after the other."""

    def of(group: Group) -> float | None:
        timing = group.timing(batch)
        return getattr(timing, name) + batch * (group.good[0].encoding_ms or 0.0) if timing else None

    return of


def _throughput(batch: int) -> Callable[[Group], float | None]:
    def of(group: Group) -> float | None:
        milliseconds = _milliseconds("p50_ms", batch)(group)
        return 1e3 * batch / milliseconds if milliseconds else None

    return of


def _train_seconds(group: Group) -> float | None:
    seconds = [sum(history.seconds for history in record.history) for record in group.good]
    return float(np.mean(seconds)) if seconds else None


def _search_seconds(group: Group) -> float | None:
    seconds = [sum(t.seconds for t in record.searched.trials) for record in group.good if record.searched]
    return float(np.mean(seconds)) if seconds else None


def _onnx_difference(group: Group) -> float | None:
    return max((record.onnx.difference for record in group.good if record.onnx), default=None)


def _kilobytes(group: Group) -> float | None:
    size = _file("bytes")(group)
    return size / 1000 if isinstance(size, int) else None


def _latency_note(group: Group) -> str:
    if group.timed is None:
        return ""
    told = [
        f"{timing.batch} ({timing.unsteady})" if timing.unsteady else str(timing.batch)
        for timing in group.timed.latency.timings
        if not timing.steady
    ]
    return group.timed.latency.reason or (f"unsteady at batch {' and '.join(told)}" if told else "")


def _of_batch(batch: int) -> tuple[Column, ...]:
    images = "one image" if batch == 1 else f"{batch} images at once"
    heading = "latency" if batch == 1 else f"latency of {batch}"
    return (
        Column(
            f"p50_ms_b{batch}",
            f"median time of {images}, one thread",
            _milliseconds("p50_ms", batch),
            unit="ms",
            better="lower",
            heading=heading,
        ),
        Column(f"p90_ms_b{batch}", "90th percentile of it", _milliseconds("p90_ms", batch), unit="ms", better="lower"),
        Column(f"p99_ms_b{batch}", "99th percentile of it", _milliseconds("p99_ms", batch), unit="ms", better="lower"),
        Column(f"images_per_s_b{batch}", "images over the median", _throughput(batch), unit="1/s", better="higher"),
        Column(
            f"ratio_b{batch}",
            "time over the reference model's, where the exported model does all",
            _ratio("ratio", batch),
            better="lower",
        ),
        Column(f"ratio_low_b{batch}", "lower end of its 95 % interval", _ratio("ratio_low", batch)),
        Column(f"ratio_high_b{batch}", "upper end of its 95 % interval", _ratio("ratio_high", batch)),
        Column(f"ratio_spread_b{batch}", "spread of single rounds", _ratio("ratio_spread", batch), better="lower"),
    )


COSTS = (
    Column(
        "dimension",
        "numbers that the model is shown of an image: pixels times channels, or what its encoding makes of them",
        lambda g: g.good[0].dimension if g.good else None,
    ),
    Column("parameters", "parameters, as Keras counts them", _count("total"), better="lower"),
    Column("trainable", "those that the last recipe trains", _count("trainable")),
    Column("non_trainable", "the others, moving statistics among them", _count("non_trainable")),
    Column("size_of_seeds", "seeds whose models are of this size", lambda g: _seeds(g.sized_alike)),
    Column("epochs", "epochs of each recipe", lambda g: _epochs(g.good), better="lower"),
    Column(
        "train_seconds",
        "seconds of one core for all recipes, mean over seeds",
        _train_seconds,
        unit="s",
        better="lower",
        heading="training",
    ),
    Column(
        "search_seconds",
        "seconds of one core for the search before, mean over seeds",
        _search_seconds,
        unit="s",
        better="lower",
        heading="search",
    ),
    Column("configuration", "what a search selected, by seed", lambda g: _selected(g.good)),
    Column("onnx_kB", "size of the exported model", _kilobytes, unit="kB", better="lower"),
    Column("opset", "operators that it is written in", _file("opset")),
    Column(
        "onnx_difference", "its largest deviation from the native model, relative", _onnx_difference, better="lower"
    ),
    *_of_batch(1),
    *_of_batch(32),
    Column(
        "encoding_ms",
        "of the times above what encoding one image takes, in Python, where the exported model does not do it",
        lambda g: g.good[0].encoding_ms if g.good else None,
        unit="ms",
        better="lower",
    ),
    Column("latency_note", "why timings are lacking or may not be quoted", _latency_note),
    Column("latency_threads", "threads that they were timed with", _timing("threads", 1)),
)


def _seeds(records: Iterable[Record]) -> str:
    return " ".join(str(record.cell.seed) for record in records)


def _epochs(good: Sequence[Record]) -> str | None:
    return "+".join(str(len(history.loss)) for history in good[0].history) if good else None


def _selected(good: Sequence[Record]) -> str | None:
    return " ".join(str(record.searched.selected) for record in good if record.searched) or None


# --- what must be equal for figures to be comparable, and where they were made ------------------------------------


def digest(content: object) -> str:
    """12 hexadecimal digits that tell one content from another."""
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:12]


def _framework(group: Group) -> str:
    """Names and versions of what trained the row, as the backend told them."""
    told = next((record.framework for record in group.records if record.framework), {})
    known = ("keras", "tensorflow", "torch", "scikit-learn")
    return ", ".join(f"{name} {told[name]}" for name in known if name in told)


def _commits(group: Group) -> str:
    parts = [record.environment.commit.partition("+dirty") for record in group.records]
    return " ".join(sorted({digits[:12] + dirty for digits, dirty, _ in parts}))


def _switches(group: Group) -> str:
    return " ".join(f"{name}={value}" for name, value in switches(group.first.environment).items())


RUN = (
    Column("seeds", "seeds that ended well", lambda g: g.seeds),
    Column("weights", "what the backbone started from", lambda g: g.first.cell.weights),
    Column("init", "whose initial weights", lambda g: g.first.cell.settings.init),
    Column("target_scaling", "what networks were trained on", lambda g: g.first.cell.settings.target_scaling),
    Column("network_unit", "the unit of raw labels", lambda g: g.first.cell.settings.unit),
    Column("device", "where networks were trained", lambda g: g.first.cell.settings.device),
    Column("data_warnings", "warnings of the check of the data", lambda g: len(g.first.data_warnings)),
)

ORIGIN = (
    Column("profile", "how much work", lambda g: g.first.cell.profile),
    Column("data", "the data set's name", lambda g: g.first.cell.data),
    Column("data_hash", "hash of its images and targets", lambda g: g.first.cell.data_hash[:12]),
    Column("split_hash", "hash of the split", lambda g: g.first.cell.split_hash[:12]),
    Column("settings", "hash of the settings", lambda g: digest(g.first.cell.settings)),
    Column("definition", "hash of architecture, encoding and recipes", lambda g: definition(g.first)),
    Column("framework", "versions of what trained it", _framework),
    Column("processor", "the machine's", lambda g: g.first.environment.processor),
    Column("switches", "variables that chose among implementations", _switches),
    Column("source", "hash of the code that can change its numbers", lambda g: g.first.source[:12]),
    Column("computed_by", "hash of versions, machine and source", lambda g: g.first.computed_by[:12]),
    Column("commit", "of the checkout that ran it", _commits),
)

AGAIN = (
    Column(
        "reproduced",
        "how predictions of its seeds, run again, agree on the test that agrees least; empty where that was not asked",
        lambda g: g.reproduced.agrees if g.reproduced else None,
    ),
    Column(
        "reproduced_by",
        "commit of the checkout that ran them again",
        lambda g: g.reproduced.commits if g.reproduced else None,
    ),
)


def definition(record: Record) -> str:
    """What its model is, whatever its name, and of how many images where its variant says so, as a digest."""
    cell = record.cell
    fewer = () if cell.originals is msgspec.UNSET else (cell.originals,)
    return digest((cell.architecture, cell.recipes, cell.encoding, cell.decoding, *fewer))


LAST = CALIBRATION + COSTS + RUN + ORIGIN + AGAIN
"""The columns after those of a row's targets and suite, in their order."""


def columns(group: Group) -> list[Column]:
    """The columns of one row, in their order."""
    return [*SCORES, *_of_targets(group), *_of_suite(group), *_of_symmetries(group), *LAST]


def titled(title: str, measured_in: str, unit: str) -> str:
    """What stands over a column where the targets are in `unit`: its title, and its own unit where it has one and does
    not end in it.
    """
    own = named(measured_in, unit)
    return f"{title} ({own})" if own and not title.endswith(own) else title


def named(name: str, unit: str) -> str:
    """A column's name in a table whose targets are in `unit`."""
    return name.replace("{unit}", unit).replace("__", "_").strip("_")


def mean(values: Sequence[float | None], factor: float = 1.0) -> float | None:
    """Over seeds; None where one has none."""
    known = [value for value in values if value is not None]
    return factor * math.fsum(known) / len(known) if known and len(known) == len(values) else None
