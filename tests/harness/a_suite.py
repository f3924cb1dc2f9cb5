"""A suite of something else: two channels, two units, groups, two named tests, its own encodings, option and metric."""

import numpy as np

from harness.errors import BenchError
from harness.model.architecture import Conv2D, Dense, Estimator, Flatten, Network
from harness.model.variants import Encoding, Recipe, Variant
from harness.protocol import Comparison, Dataset, Metric, Operators, Profile, Split, Symmetry

OPTIONS = {"noise": "how much the conductivity is off, in W/mK"}
MAKE_OPTIONS = {"shape": "round or square"}
SUMMARY = "conductivity and porosity of foams from pictures in two channels"
READS_FOLDERS = False
METRICS = (
    Metric("too_hot", "W/mK", "lower", "how much the conductivity is overestimated, on average", "too hot", ".2f"),
)
SOURCE = None
PROFILES = {"smoke": Profile(seeds=(0, 1), epochs=2, search_epochs=1, fine_tuning_epochs=1, quick_latency=True)}
MEANS, MEDIANS, PER_PORE = Encoding("channel-means"), Encoding("channel-medians"), Encoding("per-pore")
MOVED = Recipe(augmented=True)
VARIANTS = (
    Variant("mean", "the training mean", Estimator("mean")),
    Variant("line", "linear in the channels' means", Estimator("ridge", alpha=1e-6), encoding=MEANS),
    Variant(
        "few-line", "the same on a third of the foams", Estimator("ridge", alpha=1e-6), encoding=MEANS, originals=24
    ),
    Variant("median-line", "linear in the channels' medians", Estimator("ridge"), encoding=MEDIANS),
    Variant("dense", "a network on the means", Network((Dense(4), Dense(2, "linear"))), (Recipe(),), MEANS),
    Variant("cnn", "on the picture", Network((Conv2D(2, 3), Flatten(), Dense(2, "linear"))), (MOVED,)),
    Variant("per-pore", "a line in the means, per pore", Estimator("ridge"), encoding=MEANS, decoding=PER_PORE),
)


def load(folder, options):
    if folder:
        raise BenchError("this suite has its own data alone")
    draw = np.random.default_rng(0)
    images = draw.random((120, 8, 8, 2)) * draw.random((120, 1, 1, 2))
    images = (np.rint(255 * images) / 255).astype(np.float32)
    means = images.mean(axis=(1, 2), dtype=np.float64)
    noise = float(options.get("noise", "0")) * draw.normal(size=120)
    targets = np.stack([0.1 + 3 * means[:, 0] - means[:, 1] + noise, means[:, 1]], axis=1)
    return Dataset(
        name="foams",
        images=images,
        targets=targets,
        target_names=("conductivity", "porosity"),
        units=("W/mK", ""),
        ids=tuple(f"foam-{index}" for index in range(120)),
        groups=tuple(f"specimen-{index // 4}" for index in range(120)),
        facts={"gas": "argon"},
    )


def split(dataset):
    rows = np.arange(120)
    return Split(rows[:72], rows[72:88], {"near": rows[88:104], "far": rows[104:]})


class Means:
    def fit(self, images):
        self.offset = images.mean(axis=(0, 1, 2))

    def encode(self, images):
        return (images.mean(axis=(1, 2)) - self.offset).astype(np.float32)

    def operators(self):
        nodes = (("ReduceMean", ("images", "axes"), "mean", {"keepdims": 0}), ("Sub", ("mean", "off"), "encoded", {}))
        return Operators(nodes, {"axes": np.array([1, 2], np.int64), "off": self.offset.astype(np.float32)})


class Medians:
    def fit(self, images):
        pass

    def encode(self, images):
        return np.median(images, axis=(1, 2)).astype(np.float32)

    def operators(self):
        return None


def encoder(encoding, dataset):
    return Means() if encoding == MEANS else Medians()


class PerPore:
    """The conductivity as a multiple of one plus the mean of the second channel."""

    answers = ("multiple", "porosity")

    def _unit(self, images):
        return np.stack([1 + images[..., 1].mean(axis=(1, 2), dtype=np.float64), np.ones(len(images))], axis=1)

    def encode(self, targets, images):
        return targets / self._unit(images)

    def decode(self, answers, images):
        return answers * self._unit(images)

    def operators(self):
        nodes = (
            ("ReduceMean", ("images", "axes"), "means", {"keepdims": 0}),
            ("MatMul", ("means", "second"), "of_second", {}),
            ("Add", ("of_second", "one"), "unit", {}),
            ("Mul", ("answers", "unit"), "decoded", {}),
        )
        second = np.array([[0, 0], [1, 0]], np.float32)
        arrays = {"axes": np.array([1, 2], np.int64), "second": second, "one": np.ones(2, np.float32)}
        return Operators(nodes, arrays)


def decoder(decoding, dataset):
    return PerPore()


def upside_down(images, targets, elements):
    return np.where(elements[:, None, None, None] == 1, images[:, ::-1], images), targets


PRETRAINING = None
COMPARISONS = (Comparison("do means help?", "line", "mean", "We think so."),)
SYMMETRIES = (Symmetry("upside-down", "when a foam stands on its head", lambda shape: 2, upside_down),)


def measure(predictions, truth, images, facts):
    assert facts == {"gas": "argon"}
    return {"too_hot": float(np.clip(predictions - truth, 0, None)[:, 0].mean())}


def unit_factor(unit):
    raise BenchError("there is one unit")


def check_data(folder, options):
    return []


def read_images(folder, input_shape, facts):
    raise BenchError("this suite reads no pictures")


def make_data(out, count, seed, options, on_progress):
    raise BenchError("this suite makes no data")


def draw(predicted, folder):
    """One page about the first model."""
    page = folder / "foams.png"
    page.write_bytes(b"")
    return [page] if predicted else []
