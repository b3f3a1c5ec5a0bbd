"""The week's report by Evidently, one HTML file: what is scored against what was learned from."""

import os
import warnings
from pathlib import Path

import pandas as pd

from ml.settings import Features

# It would otherwise send usage statistics.
os.environ.setdefault("DO_NOT_TRACK", "1")


def write(current: pd.DataFrame, reference: pd.DataFrame, features: Features, file: Path) -> None:
    """Compare the rows' features, each by its PSI. Both frames hold a column for each feature."""
    # Not above: it takes seconds, and only this needs it.
    with warnings.catch_warnings():
        # Its own use of old names in numpy is nothing that a user can do something about.
        warnings.simplefilter("ignore", DeprecationWarning)
        from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415
        from evidently.presets import DataDriftPreset, DataSummaryPreset  # noqa: PLC0415

    definition = DataDefinition(
        numerical_columns=features.numbers,
        categorical_columns=[*features.ordered, *features.categories],
    )
    names = features.names
    report = Report([DataDriftPreset(method="psi"), DataSummaryPreset()])
    run = report.run(
        Dataset.from_pandas(current[names], data_definition=definition),
        Dataset.from_pandas(reference[names], data_definition=definition),
    )
    run.save_html(str(file))
