"""Records of a whole small benchmark: every role that the questions are asked of, with errors that are known."""

import msgspec
import numpy as np

from harness.judging.records import Searched, Settings, Trial
from harness.model.architecture import Backbone, Conv2D, Dense, Dropout, Flatten, GlobalAveragePool2D, Network
from harness.model.variants import Configuration, Recipe, Search
from harness.protocol import History
from tests.harness.examples import a_cell, a_latency, a_record

SCRATCH = Network((Conv2D(2, 3), Flatten(), Dropout(0.1), Dense(2, "linear")))
GRID = Search(
    tuple(
        Configuration({"filters": float(filters), "rate": rate}, SCRATCH, Recipe(4, learning_rate=rate))
        for filters in (8, 16, 32)
        for rate in (1e-2, 1e-3, 1e-4, 1e-5)
    ),
    epochs=3,
)
IN_ONE_ROUND = msgspec.structs.replace(GRID, epochs=2)
"""What is a grid by whatever name it was asked for, so that no row tells by which."""
HEAD, TUNING = Recipe(epochs=5, trains="head"), Recipe(epochs=3, learning_rate=1e-4)
RAW = Settings(target_scaling="none", unit="N/nm^2")


def transfer(family):
    return Network((Backbone(family), GlobalAveragePool2D(), Dense(2, "linear")))


def searched(seed, selected=5):
    rng = np.random.default_rng(seed)
    losses = 0.2 + 0.1 * rng.random(12)
    losses[selected] = 0.1
    trials = [Trial(number, float(loss), 2, float(loss) + 0.1, 100 + number, 1.0) for number, loss in enumerate(losses)]
    return Searched(tuple(trials), selected)


def history(*epochs):
    return tuple(
        History(tuple(np.geomspace(1, 0.01, count).tolist()), tuple(np.geomspace(1, 0.05, count).tolist()), 2.0)
        for count in epochs
    )


def benchmark(errors, backends=("keras", "pytorch"), seeds=(0, 1, 2), settings=None):
    """Records of every role; `errors` gives by role how many GPa its predictions are off."""
    settings = settings or Settings()
    roles = {
        "baseline": ({"architecture": SCRATCH, "recipes": (Recipe(4),)}, {"history": history(4)}),
        "few": ({"architecture": SCRATCH, "recipes": (Recipe(4),), "originals": 20}, {"history": history(4)}),
        "tuned": ({"architecture": IN_ONE_ROUND}, {"history": history(4)}),
    }
    for family in ("vgg16", "resnet50"):
        head = {"architecture": transfer(family), "weights": "random"}
        roles[f"{family}-head-only"] = (head | {"recipes": (HEAD,)}, {"history": history(5)})
        centred = msgspec.structs.replace(HEAD, centred=True)
        roles[f"{family}-head-only-centred"] = (head | {"recipes": (centred,)}, {"history": history(5)})
        roles[f"{family}-fine-tuned"] = (head | {"recipes": (HEAD, TUNING)}, {"history": history(5, 3)})
    records = []
    for number, (name, error) in enumerate(errors.items()):
        cells, fields = roles[name]
        for backend in backends:
            for seed in seeds:
                cell = a_cell(variant=name, backend=backend, seed=10 * number + seed, settings=settings, **cells)
                found = {"searched": searched(seed)} if name == "tuned" else {}
                records.append(a_record(cell, error, **fields, **found))
    records.append(a_record(a_cell(variant="mean", settings=settings), error=10.0))
    return records


def fill(store, records):
    for record in records:
        store.append(record)
        store.append(a_latency(record))
