"""Head-only training of ResNet50 for 300 epochs: on features computed once, and through the frozen network."""

import numpy as np
import pytest

from tests.backends.test_frozen import both_ways

LEAST = 50


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["keras", "pytorch"])
def test_features_computed_once(benchmark, backend):
    """The slow way is timed over three epochs after one that traces and warms up, in the same run as the fast way."""
    told = benchmark.pedantic(both_ways, (backend, "resnet50", 64, 364, 300, 4), rounds=1)
    an_epoch = float(np.median(told["seconds through the network"][1:]))
    ratio = 300 * an_epoch / told["seconds"]
    benchmark.extra_info |= {"seconds": told["seconds"], "an epoch the slow way": an_epoch, "ratio": ratio}
    print(
        f"\n{backend}: 300 epochs {told['seconds']:.1f} s; one epoch the slow way {an_epoch:.2f} s; {ratio:.0f} times"
    )
    assert ratio >= LEAST
