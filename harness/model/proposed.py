"""What a search by Optuna tries next: TPE proposes a configuration, successive halving says how long it goes on.

A study is in memory, and follows from the seed and the losses that it is told, so nothing of Optuna's has to be kept
for a search to go on to the bit. Optuna is the extra `optuna`, and is imported here alone, once it is asked.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import Unavailable

if TYPE_CHECKING:
    from harness.model.variants import Search

FACTOR = 3
"""One of so many goes on to the next round, for so many times as many epochs."""

NOT_INSTALLED = "search=optuna: optuna is not installed: pip install 'cijbench[optuna]'"


def installed() -> bool:
    """Whether Optuna is, without importing it."""
    return importlib.util.find_spec("optuna") is not None


def tries(search: Search, losses: Sequence[float], seed: int) -> Iterator[tuple[int, int]]:
    """Configuration and epochs of each try, in order, as `Search.tries`.

    TPE (Bergstra et al. 2011) proposes a configuration, which is tried for as many epochs as each of the search's
    rounds has, one after the other, until Optuna's pruner ends it: asynchronous successive halving (Li et al. 2020), by
    which those go on that are among the better third of all that came as far before them. None is taken up twice. The
    search ends when all have been, when the sampler has proposed nothing new as many times in a row as there are
    configurations, and before a try that would make it longer than a grid. Raises Unavailable without Optuna.
    """
    if not installed():
        raise Unavailable(NOT_INSTALLED)
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would tell of each study
    rounds = [epochs for _, epochs in search.rounds()]
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_ei_candidates=_DRAWS),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=rounds[0], reduction_factor=FACTOR),
    )
    sizes, numbers = _space([one.choices for one in search.configurations])
    axes = {name: optuna.distributions.IntDistribution(0, size - 1) for name, size in sizes.items()}
    left, budget, made, in_vain = set(numbers.values()), search.budget, 0, 0
    while left and in_vain < len(numbers):
        trial = study.ask(axes)
        number = numbers[tuple(trial.params[name] for name in axes)]
        if number not in left:
            study.tell(trial, state=TrialState.FAIL)  # of which the sampler learns nothing
            in_vain += 1
            continue
        left.remove(number)
        in_vain = 0
        for epochs in rounds:
            budget -= search.cost(number, epochs)
            if budget < 0:
                return
            yield number, epochs
            if made == len(losses):
                return
            loss, made = losses[made], made + 1
            trial.report(loss, epochs)
            if epochs == rounds[-1]:
                study.tell(trial, loss)
            elif trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break


# Of so many draws TPE proposes the best. Of 24, Optuna's default, that soon is one that was tried already: a search
# among few configurations would end with half of them untried, the best often among these.
_DRAWS = 2


def _space(points: Sequence[Mapping[str, float]]) -> tuple[dict[str, int], dict[tuple[int, ...], int]]:
    """How many places each axis has, and the number of the configuration at each combination of places.

    Where the configurations are all combinations of some values, an axis is one of their choices, and its places these
    values in ascending order: what counts is which is next to which, not by how much it is larger. Else there is one
    axis, the list of configurations.
    """
    names = sorted({name for point in points for name in point})
    values = {name: sorted({point[name] for point in points if name in point}) for name in names}
    sizes = {name: len(values[name]) for name in names}
    if all(len(point) == len(names) for point in points) and math.prod(sizes.values()) == len(points):
        numbers = {tuple(values[name].index(point[name]) for name in names): at for at, point in enumerate(points)}
        if len(numbers) == len(points):
            return sizes, numbers
    return {"configuration": len(points)}, {(number,): number for number in range(len(points))}
