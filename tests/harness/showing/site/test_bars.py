import itertools
import re
from types import SimpleNamespace

import pytest

from harness.showing.site import bars


@pytest.mark.parametrize("best", [0.3, 0.97, 0.9991, 0.99994, 0.9999999])
def test_ticks_do_not_touch(best):
    """0.99 and 0.999 read as one number where the best model of a board was at 0.99994."""
    scale = bars.Scale([SimpleNamespace(values={"skill_high": best})])
    ticks = [(float(x), told) for x, told in re.findall(r'x="([\d.]+)"[^>]*>([\d.]+)<', scale.axis())]
    assert ticks[0][1] == "0"
    assert len(ticks) == (1 if best < 0.9 else 2 if best < 0.99 else 3)
    for (left, one), (right, other) in itertools.pairwise(ticks):
        assert right - left > bars._DIGIT * (len(one) + len(other)) / 2
