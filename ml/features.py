"""From features as Feast gives them to the matrix that a model sees."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.errors import MlError
from ml.settings import Features

Matrix = npt.NDArray[np.float64]


def columns(features: Features) -> list[str]:
    """The matrix's columns: a number each, one for each value of a category without order."""
    one_hot = [
        f"{name}={value}" for name, values in features.categories.items() for value in values
    ]
    return [*features.numbers, *features.ordered, *one_hot]


def monotonic(features: Features) -> list[int]:
    """For each column of the matrix 1, -1 or 0."""
    return [features.monotonic.get(name, 0) for name in columns(features)]


def encode(frame: pd.DataFrame, features: Features) -> Matrix:
    """One row per row of the frame; NaN where a value is missing, or a category is unknown.

    Raises MlError if the frame lacks a feature.
    """
    check_there(frame, features)
    parts: list[Matrix] = [
        pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)
        for name in features.numbers
    ]
    for name, values in features.ordered.items():
        place = {value: float(number) for number, value in enumerate(values)}
        parts.append(frame[name].map(place).to_numpy(dtype=float))
    for name, values in features.categories.items():
        known = frame[name].isin(values).to_numpy()
        parts += [
            np.where(known, (frame[name] == value).to_numpy(dtype=float), np.nan)
            for value in values
        ]
    return np.column_stack(parts)


def check_there(frame: pd.DataFrame, features: Features) -> None:
    if missing := [name for name in features.names if name not in frame]:
        raise MlError(
            f"the feature service has no {', '.join(missing)}",
            "add it to feast_repo/feature_services.py, or take it out of the settings file",
        )


def unusable(matrix: Matrix, features: Features) -> list[str]:
    """For each row the features without a usable value, joined by commas; empty if none."""
    names = np.array([name.split("=")[0] for name in columns(features)])
    found = []
    for row in np.isnan(matrix):
        found.append(",".join(dict.fromkeys(names[row])) if row.any() else "")
    return found


def typical_values(frame: pd.DataFrame, features: Features) -> dict[str, float | str]:
    """Each feature's median, or the most common value if it is a text."""
    numbers = {name: float(frame[name].median()) for name in features.numbers}
    texts = {
        name: str(frame[name].mode().iloc[0]) for name in [*features.ordered, *features.categories]
    }
    return {**numbers, **texts}
