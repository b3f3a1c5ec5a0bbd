"""From a training set to what models are fitted on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml import folds, policy, training_set
from ml.features import Matrix, encode, unusable
from ml.folds import Rows
from ml.metrics import Labels
from ml.settings import TrainingSettings


@dataclass(frozen=True)
class Prepared:
    """The applications that the rules leave to the model, and the labels of all.

    matrix, labels, groups and frame have a row for each application that is left.
    """

    frame: pd.DataFrame
    matrix: Matrix
    labels: Labels
    groups: Rows
    all_labels: Labels
    eligible: Rows  # places of the rows of frame among all
    declined: dict[str, int]  # by rule
    unusable: int
    gaps: str  # a sentence with the months without a decision; empty if there are none


def prepare(everything: pd.DataFrame, settings: TrainingSettings) -> Prepared:
    """Check the rows, apply the policy rules, and encode who is left.

    Raises MlError, in a sentence, if a model cannot be trained on them.
    """
    training_set.check(everything, settings)
    everything = everything.reset_index(drop=True)
    rule = policy.broken_rule(everything, settings.policy_rules)
    matrix = encode(everything, settings.features)
    missing = np.array([bool(names) for names in unusable(matrix, settings.features)])
    usable = everything[~missing]
    eligible = np.flatnonzero((rule == policy.NONE) & ~missing)
    frame = everything.iloc[eligible].reset_index(drop=True)
    training_set.check(frame, settings)
    training_set.check_features(frame, settings)
    numbers = len(settings.features.numbers)
    distance = settings.checks.near_duplicate_distance
    label = settings.label
    places = {int(row): place for place, row in enumerate(np.flatnonzero(~missing))}
    return Prepared(
        frame,
        matrix[eligible],
        frame[label].to_numpy(dtype=np.int64),
        folds.near_duplicates(matrix[eligible], numbers, distance),
        usable[label].to_numpy(dtype=np.int64),
        np.array([places[int(row)] for row in eligible], dtype=np.int64),
        {one.name: int((rule == one.name).sum()) for one in settings.policy_rules},
        int(missing.sum()),
        training_set.check_gaps(everything["decided_at"], settings),
    )
