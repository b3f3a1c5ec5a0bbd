"""How good scores are: ranking, calibration, and intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

BINS = 10
NAMES = ("auc", "pr_auc", "brier", "ece", "ks")
HIGHER_IS_BETTER = {"auc": True, "pr_auc": True, "brier": False, "ece": False, "ks": True}


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that it lies in, by bootstrap."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def ece(labels: Labels, scores: Scores, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width, weighted by their rows (0 to 1)."""
    place = np.clip((scores * bins).astype(int), 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    difference = np.bincount(place, weights=labels - scores, minlength=bins)
    return float(np.abs(difference[rows > 0]).sum() / len(labels))


def ks(labels: Labels, scores: Scores) -> float:
    """Kolmogorov-Smirnov: the greatest distance of the two labels' distributions (0 to 1)."""
    false_positive, true_positive, _ = roc_curve(labels, scores)
    return float(np.max(true_positive - false_positive))


def measure(labels: Labels, scores: Scores) -> dict[str, float]:
    """All metrics of scores between 0 and 1. Both labels must be there."""
    return {
        "auc": float(roc_auc_score(labels, scores)),
        "pr_auc": float(average_precision_score(labels, scores)),
        "brier": float(brier_score_loss(labels, scores)),
        "ece": ece(labels, scores),
        "ks": ks(labels, scores),
    }


def estimates(
    labels: Labels, scores: Scores, *, seed: int, resamples: int, level: float
) -> dict[str, Estimate]:
    """All metrics with percentile intervals of a bootstrap that keeps the labels' shares."""
    random = np.random.default_rng(seed)
    places = [np.flatnonzero(labels == label) for label in (0, 1)]
    drawn: list[dict[str, float]] = []
    for _ in range(resamples):
        chosen = np.concatenate([random.choice(place, len(place)) for place in places])
        drawn.append(measure(labels[chosen], scores[chosen]))
    tail = (1 - level) / 2
    found = measure(labels, scores)
    return {
        name: Estimate(
            found[name],
            float(np.quantile([one[name] for one in drawn], tail)),
            float(np.quantile([one[name] for one in drawn], 1 - tail)),
        )
        for name in NAMES
    }


def auc_difference(  # noqa: PLR0913
    labels: Labels, one: Scores, other: Scores, *, seed: int, resamples: int, level: float
) -> Estimate:
    """How much better `one` ranks than `other`, on the same rows, with a paired interval."""
    random = np.random.default_rng(seed)
    places = [np.flatnonzero(labels == label) for label in (0, 1)]
    drawn = []
    for _ in range(resamples):
        at = np.concatenate([random.choice(place, len(place)) for place in places])
        drawn.append(roc_auc_score(labels[at], one[at]) - roc_auc_score(labels[at], other[at]))
    tail = (1 - level) / 2
    return Estimate(
        float(roc_auc_score(labels, one) - roc_auc_score(labels, other)),
        float(np.quantile(drawn, tail)),
        float(np.quantile(drawn, 1 - tail)),
    )
