"""The card's figures: what curves and groups look like. Each is a matplotlib figure."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from ml.evaluate import Evidence
from ml.features import columns
from ml.metrics import BINS
from ml.models import LIGHTGBM, LOGISTIC
from ml.prepare import Prepared
from ml.settings import TrainingSettings

mpl.use("Agg")
# Rows that the contributions of features are shown of.
SHOWN = 2_000


def figures(
    data: Prepared, evidence: Evidence, settings: TrainingSettings
) -> Iterator[tuple[str, Figure]]:
    """All figures with their names."""
    yield "roc", roc(data, evidence)
    yield "precision_recall", precision_recall(data, evidence)
    yield "calibration", calibration(data, evidence)
    yield "gain", gain(data, evidence)
    yield "shap", contributions(data, evidence, settings)
    yield "segments", segments(evidence)
    yield "months", months(evidence)
    yield "learning_curve", learning_curve(evidence)


def roc(data: Prepared, evidence: Evidence) -> Figure:
    figure, axes = empty("share of rejected above the threshold", "share of approved above it")
    for name in (LOGISTIC, LIGHTGBM):
        false, true, _ = roc_curve(data.labels, evidence.scores[name][evidence.stricter])
        axes.plot(false, true, label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.legend()
    return figure


def precision_recall(data: Prepared, evidence: Evidence) -> Figure:
    figure, axes = empty("recall", "precision")
    for name in (LOGISTIC, LIGHTGBM):
        scores = evidence.scores[name][evidence.stricter]
        precision, recall, _ = precision_recall_curve(data.labels, scores)
        axes.plot(recall, precision, label=name)
    axes.legend()
    return figure


def calibration(data: Prepared, evidence: Evidence) -> Figure:
    figure, axes = empty("mean score", "share of approved")
    for name in (LOGISTIC, LIGHTGBM):
        scores = evidence.scores[name][evidence.stricter]
        share, mean = calibration_curve(data.labels, scores, n_bins=BINS)
        axes.plot(mean, share, marker="o", label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.legend()
    return figure


def gain(data: Prepared, evidence: Evidence) -> Figure:
    figure, axes = empty("share of applications, best scores first", "share of approved among them")
    for name in (LOGISTIC, LIGHTGBM):
        order = np.argsort(-evidence.scores[name][evidence.stricter], kind="stable")
        found = np.cumsum(data.labels[order]) / data.labels.sum()
        axes.plot(np.linspace(0, 1, len(found)), found, label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.legend()
    return figure


def contributions(data: Prepared, evidence: Evidence, settings: TrainingSettings) -> Figure:
    """What each column adds to the log odds: of LightGBM, its own SHAP values."""
    rows = data.matrix[evidence.time.test][:SHOWN]
    values = evidence.tested.contributions(rows)
    names = np.array(columns(settings.features))
    order = np.argsort(np.abs(values).mean(axis=0))
    figure, axes = empty("SHAP value (log odds)", "")
    random = np.random.default_rng(settings.seed)
    for place, column in enumerate(order):
        rank = np.argsort(np.argsort(rows[:, column])) / max(len(rows) - 1, 1)
        height = place + random.uniform(-0.3, 0.3, len(rows))
        axes.scatter(values[:, column], height, c=rank, cmap="coolwarm", s=2, rasterized=True)
    axes.set_yticks(range(len(order)), names[order], fontsize=7)
    return figure


def segments(evidence: Evidence) -> Figure:
    figure, axes = empty("share that is approved, with its interval", "")
    names = [f"{group.audited}: {group.group} ({group.rows:,})" for group in evidence.groups]
    rates = np.array([group.selection_rate for group in evidence.groups])
    low = rates - np.array([group.selection_low for group in evidence.groups])
    high = np.array([group.selection_high for group in evidence.groups]) - rates
    spread = np.maximum([low, high], 0)
    axes.errorbar(rates, range(len(names)), xerr=spread, fmt="o", capsize=3)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    return figure


def months(evidence: Evidence) -> Figure:
    figure, axes = empty("month of the decision", "AUC")
    axes.plot(evidence.months["month"], evidence.months["auc"], marker="o")
    axes.tick_params(axis="x", rotation=60)
    return figure


def learning_curve(evidence: Evidence) -> Figure:
    figure, axes = empty("applications to learn from", "AUC on the newest applications")
    axes.plot(*zip(*evidence.learning_curve, strict=True), marker="o")
    return figure


def empty(x: str, y: str) -> tuple[Figure, "mpl.axes.Axes"]:
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes
