import msgspec
import pytest

from harness.judging.standing import comparable, standing
from tests.harness.examples import ENVIRONMENT, a_cell, a_failure, a_record


def test_the_newest_good_record_stands():
    good, again = a_record(error=1.0), a_record(error=2.0)
    assert standing([a_failure(), good, again, a_failure()]) == [again]
    assert [record.reason for record in standing([a_failure(), a_failure(reason="later")])] == ["later"]


def by_code(source, started, error=1.0, seeds=(0, 1)):
    cells = [a_cell(seed=seed) for seed in seeds]
    return [a_record(cell, error, source=source, started=f"2026-0{started}-01T00:00:00+00:00") for cell in cells]


def test_a_row_that_newer_code_makes_again_to_the_bit_stands_once():
    old, new = by_code("a" * 64, 1), by_code("b" * 64, 2)
    assert standing([*old, *new]) == standing([*new, *old]) == new
    newest = by_code("c" * 64, 3)
    assert standing([*old, *new, *newest]) == newest
    (first, _), (_, last) = by_code("a" * 64, 1), by_code("a" * 64, 4)  # a row is as new as the last of its seeds
    assert standing([first, last, *new]) == [first, last]


@pytest.mark.parametrize(
    "new",
    [
        by_code("b" * 64, 2, error=1.0 + 1e-9),
        by_code("b" * 64, 2, seeds=(0,)),
        [msgspec.structs.replace(record, metrics={"positive_definite": 0.5}) for record in by_code("b" * 64, 2)],
        [
            msgspec.structs.replace(
                record, environment=msgspec.structs.replace(record.environment, processor="another one")
            )
            for record in by_code("b" * 64, 2)
        ],
        [*by_code("b" * 64, 2, seeds=(0,)), a_failure(a_cell(seed=1))],
    ],
    ids=["other answers", "not all seeds", "other figures", "another machine", "a seed that failed"],
)
def test_a_row_that_newer_code_makes_otherwise_stands_beside_it(new):
    old = by_code("a" * 64, 1)
    assert standing([*old, *new]) == [*old, *new]


def test_what_differs_in_its_seed_alone_is_comparable_and_stands_by_seed():
    old, new = by_code("a" * 64, 1, seeds=(0, 1, 2)), by_code("b" * 64, 2)
    assert comparable([old[2], new[1], old[0], new[0], old[1]]) == [old, new]


def test_every_environment_has_a_standing_record_of_its_own():
    here = a_record()
    elsewhere = a_record(environment=msgspec.structs.replace(ENVIRONMENT, processor="Antikythera"))
    assert standing([here, elsewhere]) == [here, elsewhere]
