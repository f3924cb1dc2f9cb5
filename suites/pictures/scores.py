"""How well probabilities tell classes apart: scores of answers, and of how sure they are.

Everywhere probabilities are (n, t) and truth is (n, t) ones and zeros; the answer is the most probable class.
"""

from __future__ import annotations

import numpy as np

from harness.protocol import Metric, Targets

ACCURACY = Metric("accuracy", "", "higher", "share of the images whose most probable class is right", "accuracy", ".1%")
BALANCED_ACCURACY = Metric(
    "balanced_accuracy", "", "higher", "the same, averaged over the classes: chance is one over their number"
)
LOG_LOSS = Metric("log_loss", "", "lower", "mean of minus the logarithm of the probability of the right class")
CALIBRATION_ERROR = Metric(
    "calibration_error",
    "",
    "lower",
    "mean difference between how sure a model is of its answer and how often it is right, in ten bins (Naeini, "
    "Cooper and Hauskrecht 2015)",
    "ECE",
    ".3f",
)
MACRO_F1 = Metric(
    "macro_f1", "", "higher", "harmonic mean of precision and recall, averaged over the classes", "macro F1", ".3f"
)


def accuracy(probabilities: Targets, truth: Targets) -> float:
    """Share of the images whose answer is right."""
    return float(_hits(probabilities, truth).mean())


def balanced_accuracy(probabilities: Targets, truth: Targets) -> float:
    """The same of each class that there is, averaged over these (Brodersen, Ong, Stephan and Buhmann 2010)."""
    hit, right = _hits(probabilities, truth), truth.argmax(axis=1)
    return float(np.mean([hit[right == one].mean() for one in np.unique(right)]))


def log_loss(probabilities: Targets, truth: Targets) -> float:
    """Mean of -log p of the right class, p being at least the smallest float32 (Bishop 2006, equation 4.108)."""
    of_right = probabilities[np.arange(len(truth)), truth.argmax(axis=1)]
    return float(-np.log(np.clip(of_right, np.finfo(np.float32).tiny, 1)).mean())


def calibration_error(probabilities: Targets, truth: Targets) -> float:
    """Expected calibration error: sum over ten bins of the answer's probability of the share of images in a bin times
    |share of them that is right - their mean probability| (Naeini, Cooper and Hauskrecht 2015, section 2).
    """
    hit, sure = _hits(probabilities, truth), probabilities.max(axis=1)
    bins = np.minimum((10 * sure).astype(int), 9)
    return float(sum(abs((hit[bins == one] - sure[bins == one]).sum()) for one in np.unique(bins)) / len(hit))


def precision_recall_f1(probabilities: Targets, truth: Targets, of: int) -> tuple[float, float, float]:
    """Of the images that are said to be of class `of` the share that is; of those that are the share that is said to
    be; and the harmonic mean of both (van Rijsbergen 1979, chapter 7). What would be 0 / 0 is 0.
    """
    said, is_so = probabilities.argmax(axis=1) == of, truth[:, of] == 1
    both = int(np.count_nonzero(said & is_so))
    called, there = int(np.count_nonzero(said)), int(np.count_nonzero(is_so))
    return both / max(called, 1), both / max(there, 1), 2 * both / max(called + there, 1)


def macro_f1(probabilities: Targets, truth: Targets) -> float:
    """F1 of each class, averaged over all."""
    return float(np.mean([precision_recall_f1(probabilities, truth, of)[2] for of in range(truth.shape[1])]))


def average_precision(probabilities: Targets, truth: Targets, of: int) -> float:
    """Area under the curve of precision over recall of class `of`, as a sum of steps: over all thresholds the
    precision times what recall gains there (Buckley and Voorhees 2000). Who ranks at random has the class's share. NaN
    where no image is of the class.
    """
    if not truth[:, of].any():
        return np.nan
    precision, recall = precision_and_recall(probabilities, truth, of)
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def precision_and_recall(probabilities: Targets, truth: Targets, of: int) -> tuple[Targets, Targets]:
    """Precision (k,) and recall (k,) of class `of` at each of the k probabilities that there are as a threshold, from
    the highest on: images of one probability are called together.
    """
    order = np.argsort(-probabilities[:, of], kind="stable")
    found, ranked = np.cumsum(truth[order, of]), probabilities[order, of]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return found[last] / (last + 1), found[last] / found[-1]


def _hits(probabilities: Targets, truth: Targets) -> Targets:
    hits: Targets = (probabilities.argmax(axis=1) == truth.argmax(axis=1)).astype(np.float64)
    return hits
