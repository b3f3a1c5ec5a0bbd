"""What each feature does to an application's score."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ml.serving.champion import Champion


@dataclass(frozen=True)
class Effect:
    """How the score changes because the feature has its value and not the typical one.

    The typical value is the median of the applications that the model was trained on, or the
    most common one of a text. A positive effect raises the score.
    """

    feature: str
    value: Any
    typical: Any
    effect: float


def effects(values: dict[str, Any], champion: Champion) -> list[Effect]:
    """The effect of each feature, the strongest first; all features must be usable."""
    names = champion.settings.features.names
    actual = {name: values[name] for name in names}
    rows = [actual, *({**actual, name: champion.typical[name]} for name in names)]
    score, *others = champion.model.scores(pd.DataFrame(rows))
    found = [
        Effect(name, actual[name], champion.typical[name], float(score - other))
        for name, other in zip(names, others, strict=True)
    ]
    return sorted(found, key=lambda one: -abs(one.effect))
