"""Planning: cells, and the keys by which what is done is known, in proportion to their number."""

import time

import pytest

from harness.running.plan import Request, plan


@pytest.mark.benchmark(group="planning")
def test_a_hundred_thousand_cells(benchmark):
    def planned(seeds):
        begin = time.perf_counter()
        cells = plan("elasticity", Request(("elasticity",), seeds=tuple(range(seeds)))).cells
        laid_out = time.perf_counter() - begin
        assert len({cell.key for cell in cells}) == len(cells)
        return len(cells), laid_out, time.perf_counter() - begin

    planned(1)  # loads the data
    few = planned(300)
    many = benchmark.pedantic(lambda: planned(3000), rounds=1)
    benchmark.extra_info.update(cells=many[0], seconds=many[1], seconds_with_keys=many[2])
    print({key: f"{value:.4g}" for key, value in benchmark.extra_info.items()})
    assert many[0] > 100_000
    assert many[2] <= 15 * few[2]
