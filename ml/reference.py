"""What a version's training set looks like: the bins that later days are compared with.

A number's bins are the deciles of the training set, a text's are its values. Of what the rules
decline nothing is in them, because the model never sees it.
"""

import numpy as np
import pandas as pd

from ml.metrics import Scores
from ml.prepare import Prepared
from ml.settings import TrainingSettings

Row = tuple[str, int, float, float, str | None, float]

BINS = 10
SCORE = "score"
COLUMNS = ["feature", "bin", "lower_bound", "upper_bound", "category", "share"]


def describe(data: Prepared, scores: Scores, settings: TrainingSettings) -> pd.DataFrame:
    """A row for each bin of the score and of each feature; the shares of one add up to 1.

    A bin of a number holds its lower bound and not its upper one; no bound is NaN. `scores` are
    of rows that the model was not fitted on, as all will be that it scores.
    """
    rows: list[Row] = number_bins(SCORE, scores)
    for name in settings.features.numbers:
        rows += number_bins(name, data.frame[name].to_numpy(dtype=np.float64))
    for name, values in {**settings.features.ordered, **settings.features.categories}.items():
        shares = data.frame[name].value_counts(normalize=True)
        rows += [
            (name, place, np.nan, np.nan, value, float(shares.get(value, 0.0)))
            for place, value in enumerate(values)
        ]
    trained_until = data.frame["decided_at"].max().tz_convert("UTC").tz_localize(None)
    return pd.DataFrame(rows, columns=COLUMNS).assign(trained_until=trained_until)


def number_bins(name: str, values: Scores) -> list[Row]:
    """No bin is empty; there are fewer than ten where a value fills more than one of them."""
    places = np.linspace(0, 1, BINS + 1)[1:-1]
    inner = np.unique(np.quantile(values, places, method="inverted_cdf"))
    inner = inner[inner > values.min()]
    edges = [np.nan, *inner.tolist(), np.nan]
    counts = np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1)
    return [
        (name, place, edges[place], edges[place + 1], None, float(rows / len(values)))
        for place, rows in enumerate(counts)
    ]
