import gc
import itertools
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from harness.errors import BenchError
from harness.running.load import Load
from harness.running.rounds import (
    NEVER_KEPT,
    SMOKE,
    LatencySettings,
    Machine,
    Rounds,
    Share,
    Timing,
    summarise,
    time_in_rounds,
)

MS = 1_000_000  # nanoseconds
USUAL = LatencySettings(runs=10)
TEN = LatencySettings(runs=10, rounds=10, most_rounds=10)


class FakeMachine:
    """Clocks that only the fake models move. What a model takes is multiplied by `slowdown(time)`, and `waits(time)`
    comes on top: nanoseconds in which others have its core.
    """

    def __init__(
        self, slowdown: Callable[[int], float] = lambda now: 1.0, waits: Callable[[int], float] = lambda now: 0
    ) -> None:
        self.now = self.waited = 0
        self.slowdown, self.waits = slowdown, waits
        self.busy_others, self.stolen = 0.0, 0.0
        self.log: list[str] = []

    def model(self, name: str, nanoseconds: Callable[[], float]) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            waited = int(self.waits(self.now))
            self.now += int(nanoseconds() * self.slowdown(self.now)) + waited
            self.waited += waited

        return run

    def _load(self) -> Load:
        """Of two cores, of which this process has one."""
        seconds = self.now / 1e9
        others, stolen = self.busy_others * 2 * seconds, self.stolen * 2 * seconds
        own = (self.now - self.waited) / 1e9
        return Load(2 * seconds, own + others, stolen, own)

    @property
    def clocks(self) -> Machine:
        return Machine(lambda: self.now, lambda: self.now - self.waited, self._load)

    def time(
        self, settings: LatencySettings, progress: Callable[[int, int], None] = lambda done, total: None, **own: float
    ) -> dict[str, Rounds]:
        """Time models that take so many ms beside a reference that takes 1 ms."""
        runs = {name: self.model(name, lambda ms=ms: ms * MS) for name, ms in own.items()}
        return time_in_rounds(runs, self.model("reference", lambda: MS), settings, progress, self.clocks)

    def timing(self, own: Callable[[], float], settings: LatencySettings = USUAL) -> Timing:
        """The timing of a model that takes `own()` beside a reference that takes 1 ms."""
        reference = self.model("reference", lambda: MS)
        rounds = time_in_rounds(
            {"own": self.model("own", own)}, reference, settings, lambda done, total: None, self.clocks
        )
        return summarise(rounds["own"], batch=4, threads=1)


def _share(*milliseconds: float, waited: float = 0.0) -> Share:
    took = (np.array(milliseconds) * MS).astype(np.int64)
    return Share(took, (waited * took).astype(np.int64))


def _rounds(own: list[Share], reference: list[Share]) -> Rounds:
    rounds = Rounds()
    rounds.own, rounds.reference = own, reference
    return rounds


def _each_round(factors: Iterator[float], own_ms: float = 3.0, runs: int = 10) -> Callable[[], float]:
    """What a model takes whose rounds differ by `factors`; a round is `runs` timed runs and one before them."""
    each = (factor for factor in factors for _ in range(runs + 1))
    return lambda: own_ms * MS * next(each)


def _noise(size: float, seed: int = 0) -> Iterator[float]:
    draw = np.random.default_rng(seed)
    while True:
        yield 1 + size * draw.uniform(-1, 1)


# --- figures --------------------------------------------------------------------------------------------------------


def test_percentiles_are_of_all_runs_those_that_waited_too() -> None:
    own = [_share(*range(1, 51)), _share(*range(51, 102), waited=0.5)]  # 1, 2, ..., 101 ms
    timing = summarise(_rounds(own, [_share(3)] * 2), batch=32, threads=2)
    assert (timing.p50_ms, timing.p90_ms, timing.p99_ms) == (51, 91, 100)
    assert timing.throughput == pytest.approx(32 / 0.051)
    assert (timing.runs, timing.rounds, timing.batch, timing.threads) == (101, 2, 32, 2)


def test_ratio_is_the_median_over_rounds_with_its_interval_and_their_spread() -> None:
    reference = [_share(2, 2, 50)] * 11  # one slow run in three does not move a median
    timing = summarise(_rounds([_share(ratio * 2) for ratio in range(10, 21)], reference), batch=1, threads=1)
    assert timing.ratio == 15
    assert (timing.ratio_low, timing.ratio_high) == (11, 19)
    assert timing.ratio_spread == pytest.approx((19 - 11) / 15)
    assert not timing.steady


def test_a_model_beside_itself() -> None:
    rounds = [_share(3, 4, 5)] * 6
    timing = summarise(_rounds(rounds, rounds), batch=1, threads=1)
    assert (timing.ratio, timing.ratio_low, timing.ratio_high, timing.ratio_spread) == (1, 1, 1, 0)
    assert (timing.steady, timing.unsteady) == (True, "")


def test_slow_drift_of_the_machine_cancels_in_the_ratio() -> None:
    machine = FakeMachine(slowdown=lambda now: 1 + now / (1000 * MS))
    timing = machine.timing(lambda: 3 * MS, TEN)
    assert timing.p99_ms > 1.2 * timing.p50_ms  # the machine did slow down
    assert timing.ratio == pytest.approx(3, rel=0.05)
    assert timing.steady


def test_a_glance_has_no_interval_and_no_reason() -> None:
    timing = FakeMachine().timing(_each_round(_noise(0.9)), SMOKE)
    assert (timing.ratio_low, timing.ratio_high, timing.rounds, timing.unsteady) == (None, None, 2, "")


# --- when it is over ------------------------------------------------------------------------------------------------


def test_a_steady_model_stops_at_the_fewest_rounds() -> None:
    timing = FakeMachine().timing(_each_round(_noise(0.01)))
    assert (timing.rounds, timing.steady) == (10, True)


def test_a_noisy_model_goes_on_until_its_interval_is_narrow() -> None:
    timing = FakeMachine().timing(_each_round(itertools.chain([0.94, 1.06] * 5, itertools.repeat(1.0))))
    assert (timing.rounds, timing.steady) == (20, True)  # the interval leaves out the five on either side
    assert (timing.ratio_low, timing.ratio_high) == (3, 3)
    assert timing.ratio_spread > 0.1  # single rounds are no steadier than before


def test_a_model_that_never_gets_there_is_given_up_with_the_reason() -> None:
    timing = FakeMachine().timing(_each_round(_noise(0.5)))
    assert (timing.rounds, timing.steady) == (40, False)
    assert timing.unsteady == "it varies by itself: it kept its core, and nothing else ran"


def test_a_model_that_slows_down_alone_is_unsteady() -> None:
    machine = FakeMachine()
    assert not machine.timing(lambda: 3 * MS * (1 + machine.now / (1000 * MS))).steady


def test_a_slow_model_is_given_up_when_its_seconds_are_spent() -> None:
    timing = FakeMachine().timing(_each_round(_noise(0.5), own_ms=900, runs=2))
    assert timing.rounds is not None
    assert timing.rounds == pytest.approx(20 / 1.81, abs=1)  # two runs of 0.9 s and ten of the reference


@pytest.mark.parametrize("bad", [0, 4, 9])
def test_one_bad_round_in_ten_does_not_matter(bad: int) -> None:
    timing = FakeMachine().timing(_each_round(iter([4.0 if number == bad else 1.0 for number in range(10)])))
    assert (timing.rounds, timing.steady, timing.ratio) == (10, True, 3)


def test_models_that_are_known_drop_out_and_the_others_go_on() -> None:
    machine, steps = FakeMachine(), []
    factors = _noise(0.5)
    runs = {
        "calm": machine.model("calm", lambda: 3 * MS),
        "wild": machine.model("wild", lambda: 3 * MS * next(factors)),
    }
    settings = LatencySettings(runs=2, rounds=10, most_rounds=12)
    done = time_in_rounds(
        runs,
        machine.model("reference", lambda: MS),
        settings,
        lambda *step: steps.append(step),
        machine.clocks,
    )
    assert (len(done["calm"]), len(done["wild"])) == (10, 12)
    assert steps == [*((2 * number, 24) for number in range(1, 10)), (22, 24), (23, 24), (24, 24)]


# --- other processes ------------------------------------------------------------------------------------------------


def _every(period: int, waits: float) -> Callable[[int], float]:
    """Others take the core for `waits` ms whenever `period` ms are over."""
    over = 0

    def wait(now: int) -> float:
        nonlocal over
        if now // (period * MS) == over:
            return 0
        over = (now + int(waits * MS)) // (period * MS)
        return waits * MS

    return wait


def test_runs_that_lost_their_core_do_not_count_in_the_ratio() -> None:
    """Short runs mostly keep it and long ones mostly do not, so the ratio of all of them would be far too large."""
    machine = FakeMachine(waits=_every(period=15, waits=10))
    timing = machine.timing(lambda: 9 * MS)
    assert timing.p50_ms > 15
    assert timing.ratio == pytest.approx(9)
    assert timing.steady


def test_a_wait_too_short_to_matter_is_none() -> None:
    machine = FakeMachine(waits=lambda now: MS / 100)
    assert machine.timing(lambda: MS).ratio == pytest.approx(1)


def test_a_model_that_never_keeps_its_core_is_given_up_however_alike_its_rounds_are() -> None:
    machine = FakeMachine()
    machine.busy_others, machine.stolen = 0.75, 0.03
    machine.waits = lambda now: 27 * MS if machine.log[-1] == "own" else 0
    timing = machine.timing(lambda: 30 * MS)
    assert (timing.ratio, timing.ratio_low, timing.ratio_high) == (57, 57, 57)
    assert not timing.steady
    assert timing.unsteady == (
        "the machine was busy: it waited for a core in 45% of the time, other processes took 75% of the cores, "
        "the hypervisor took 3% of the cores for others (steal)" + NEVER_KEPT
    )


def test_where_the_system_does_not_tell_who_it_was_the_wait_is_told() -> None:
    machine = FakeMachine(waits=lambda now: MS)
    clocks = machine.clocks._replace(load=lambda: None)
    runs = {"own": machine.model("own", lambda: MS)}
    done = time_in_rounds(runs, machine.model("reference", lambda: MS), TEN, lambda *step: None, clocks)
    told = "the machine was busy: it waited for a core in 50% of the time"
    assert summarise(done["own"], 1, 1).unsteady == told + NEVER_KEPT


def test_a_busy_neighbour_is_told_where_a_model_varies_on_its_own_core() -> None:
    machine = FakeMachine()
    machine.busy_others = 0.5
    timing = machine.timing(_each_round(_noise(0.5)))
    assert timing.unsteady == (
        "it kept its core, but other processes took 50% of the cores, which share caches and memory"
    )


def test_with_several_threads_a_wait_for_each_other_is_not_taken_for_one_for_a_core() -> None:
    machine = FakeMachine(waits=lambda now: MS)
    done = machine.time(msgspec.structs.replace(TEN, threads=2), m=2)
    timing = summarise(done["m"], 1, 2)
    assert (timing.ratio, timing.steady) == (1.5, True)


# --- rounds ---------------------------------------------------------------------------------------------------------


def _counts(milliseconds: float, settings: LatencySettings) -> tuple[list[int], list[int]]:
    rounds = FakeMachine().time(settings, m=milliseconds)["m"]
    return [len(share.took) for share in rounds.own], [len(share.took) for share in rounds.reference]


def test_a_share_is_so_many_runs_or_so_many_seconds_or_the_least_runs() -> None:
    assert _counts(0.1, LatencySettings()) == ([100] * 10, [50] * 10)
    assert _counts(10, LatencySettings()) == ([15] * 10, [50] * 10)
    assert _counts(500, LatencySettings()) == ([2] * 10, [50] * 10)
    assert _counts(0.1, SMOKE) == ([10] * 2, [10] * 2)
    assert _counts(500, SMOKE) == ([1] * 2, [10] * 2)


def test_each_round_takes_every_model_once_in_an_order_of_its_own_after_the_reference() -> None:
    settings = LatencySettings(runs=1, least_runs=1, rounds=6, most_rounds=6)
    machine, again = FakeMachine(), FakeMachine()
    machine.time(settings, a=1, b=1, c=1, d=1)
    log = machine.log[::2]  # one run untimed, one timed
    assert log[::2] == ["reference"] * 24
    orders = [log[start + 1 : start + 8 : 2] for start in range(0, 48, 8)]
    assert all(sorted(order) == list("abcd") for order in orders)
    assert len({tuple(order) for order in orders}) > 2
    again.time(settings, a=1, b=1, c=1, d=1)
    assert again.log == machine.log


def test_garbage_is_not_collected_while_timing_and_is_afterwards() -> None:
    seen = []
    time_in_rounds({"m": lambda: seen.append(gc.isenabled())}, lambda: None, SMOKE, lambda done, total: None)
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 1},
        {"rounds": 10, "most_rounds": 9},
        {"threads": 0},
        {"seconds": 0.0},
        {"most_seconds": 0.0},
        {"batches": (1, 0)},
        {"batches": ()},
        {"warm_up": 0},
        {"runs": 0},
    ],
)
def test_settings_that_make_no_measurement(wrong: dict[str, object]) -> None:
    with pytest.raises(BenchError, match="must be"):
        LatencySettings(**wrong)
