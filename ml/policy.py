"""Rules that decide before the model: data, not code."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.errors import MlError
from ml.settings import PolicyRule

NONE = ""


def broken_rule(frame: pd.DataFrame, rules: Sequence[PolicyRule]) -> npt.NDArray[np.object_]:
    """For each row the name of the first rule that declines it, or an empty text.

    An unknown value declines no application. Raises MlError if a rule's column is not there.
    """
    found = np.full(len(frame), NONE, dtype=object)
    for rule in rules:
        if rule.feature not in frame:
            raise MlError(
                f"policy rule {rule.name}: there is no column {rule.feature}",
                "correct `column` in the settings file",
            )
        holds = declines(frame[rule.feature], rule)
        found[holds & (found == NONE)] = rule.name
    return found


def declines(values: pd.Series, rule: PolicyRule) -> npt.NDArray[np.bool_]:
    if rule.operator in ("is", "in"):
        accepted: list[Any] = [rule.value] if not isinstance(rule.value, list) else [*rule.value]
        holds = values.isin(accepted)
    else:
        numbers, bound = pd.to_numeric(values, errors="coerce"), float(str(rule.value))
        holds = numbers < bound if rule.operator == "below" else numbers > bound
    return np.asarray(values.notna() & holds.fillna(False), dtype=bool)


def reasons(names: Sequence[str], rules: Sequence[PolicyRule]) -> list[str]:
    """The reasons of the rules that are named, empty where there is none."""
    by_name = {rule.name: rule.reason for rule in rules} | {NONE: ""}
    return [by_name[name] for name in names]
