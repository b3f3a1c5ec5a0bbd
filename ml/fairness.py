"""How the decisions differ between groups of applicants (Fairlearn), with intervals."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
from fairlearn.metrics import MetricFrame, count, selection_rate, true_positive_rate

from ml.metrics import Labels, Scores
from ml.settings import Audited, TrainingSettings

# At most: each is a pass over all groups.
RESAMPLES = 100


@dataclass(frozen=True)
class Group:
    """One group: rates between 0 and 1; calibration is the mean label less the mean score."""

    audited: str
    group: str
    rows: int
    selection_rate: float
    selection_low: float
    selection_high: float
    true_positive_rate: float
    true_positive_low: float
    true_positive_high: float
    calibration: float


def groups_of(frame: pd.DataFrame, audited: Audited) -> npt.NDArray[np.object_]:
    """The group of each row, as a text."""
    values = frame[audited.column.split(":")[1]]
    if not audited.lower_bounds:
        return np.asarray(values.astype(str), dtype=object)
    bounds = audited.lower_bounds
    names = [f"{low:g} to {high - 1:g}" for low, high in pairwise(bounds)]
    names.append(f"{bounds[-1]:g} and more")
    cut = pd.cut(values, [*bounds, np.inf], right=False, labels=names)
    return np.asarray(cut.astype(str), dtype=object)


def audit(
    frame: pd.DataFrame, labels: Labels, scores: Scores, settings: TrainingSettings
) -> list[Group]:
    """Every group of every audited column."""
    found: list[Group] = []
    for name, audited in settings.audited.items():
        found += audit_one(name, groups_of(frame, audited), labels, scores, settings)
    return found


def audit_one(
    name: str,
    groups: npt.NDArray[np.object_],
    labels: Labels,
    scores: Scores,
    settings: TrainingSettings,
) -> list[Group]:
    tail = (1 - settings.interval.level) / 2
    rates = MetricFrame(
        metrics={
            "rows": count,
            "selected": selection_rate,
            "true_positive": true_positive_rate,
        },
        y_true=labels,
        y_pred=(scores >= settings.training.approve_at).astype(int),
        sensitive_features=groups,
        n_boot=min(RESAMPLES, settings.interval.resamples),
        ci_quantiles=[tail, 1 - tail],
        random_state=settings.seed,
    )
    low, high = rates.by_group_ci
    found = []
    for group, row in rates.by_group.iterrows():
        of_group = groups == group
        found.append(
            Group(
                name,
                str(group),
                int(row["rows"]),
                float(row["selected"]),
                float(low.loc[group, "selected"]),
                float(high.loc[group, "selected"]),
                float(row["true_positive"]),
                float(low.loc[group, "true_positive"]),
                float(high.loc[group, "true_positive"]),
                float(labels[of_group].mean() - scores[of_group].mean()),
            )
        )
    return found


def selection_ratio(groups: list[Group]) -> float:
    """The least selection rate as a share of the greatest."""
    rates = [group.selection_rate for group in groups]
    return min(rates) / max(rates) if rates and max(rates) > 0 else 1.0


def true_positive_difference(groups: list[Group]) -> float:
    rates = [group.true_positive_rate for group in groups]
    return max(rates) - min(rates) if rates else 0.0
