"""What is decided of an application: the policy rules first, then the model's score.

Batch scoring and the scoring server both decide here.
"""

import numpy as np
import pandas as pd

from ml import policy
from ml.features import encode, unusable
from ml.onnx_model import OnnxModel
from ml.settings import TrainingSettings

APPROVE, DECLINE, REFER = "approve", "decline", "refer"


def decide(frame: pd.DataFrame, settings: TrainingSettings, model: OnnxModel) -> pd.DataFrame:
    """For each row of features its `score`, `decision`, `policy_rule` and `reasons`.

    A row that a rule declines has the score 0; one with a missing or unknown feature has
    none (NaN) and is referred to a person. `policy_rule` and `reasons` are empty texts where
    there are none.
    """
    rule = policy.broken_rule(frame, settings.policy_rules)
    missing = np.array(unusable(encode(frame, settings.features), settings.features), dtype=object)
    declined = rule != policy.NONE
    asked = ~declined & (missing == "")
    score = np.where(declined, 0.0, np.nan)
    if asked.any():
        score[asked] = model.scores(frame[asked])
    low = asked & (score < settings.training.approve_at)
    reasons = np.array(policy.reasons(list(rule), settings.policy_rules), dtype=object)
    reasons[low] = f"The score is below {settings.training.approve_at}."
    refer = ~declined & (missing != "")
    reasons[refer] = "Missing or unknown: " + missing[refer]
    decision = np.select([declined | low, refer], [DECLINE, REFER], APPROVE)
    return pd.DataFrame(
        {"score": score, "decision": decision, "policy_rule": rule, "reasons": reasons}
    )
