"""Features that give the label away, or that are younger than the decision."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from ml.errors import MlError
from ml.metrics import Labels


def single_feature_auc(values: pd.Series, labels: Labels) -> float:
    """How well the values rank the labels by themselves, in either direction (0.5 to 1).

    A text is ranked by the share of its label, which overstates rare ones.
    """
    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        numbers = values.astype(float).to_numpy(na_value=np.nan)
        numbers = np.where(np.isnan(numbers), np.nanmin(numbers) - 1, numbers)
    else:
        text = values.astype(str)
        numbers = text.map(pd.Series(labels).groupby(text.to_numpy()).mean()).to_numpy(dtype=float)
    auc = float(roc_auc_score(labels, numbers))
    return max(auc, 1 - auc)


def check_leaks(frame: pd.DataFrame, names: list[str], labels: Labels, limit: float) -> None:
    """Raise MlError for a feature that by itself ranks the label better than the limit."""
    for name in names:
        auc = single_feature_auc(frame[name], labels)
        if auc >= limit:
            raise MlError(
                f"{name} by itself has an AUC of {auc:.3f}: it gives the decision away",
                "take it out of `features` in the settings file, or make it a policy rule",
            )
