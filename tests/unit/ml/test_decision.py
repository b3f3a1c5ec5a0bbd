"""What is decided: rules first, then the model, and nothing by a guess."""

import numpy as np

from ml import export
from ml.decision import decide
from ml.models import fit_logistic
from ml.onnx_model import OnnxModel
from ml.prepare import prepare
from tests.unit.ml.made_up import applications, settings


def test_rules_go_before_the_model_and_the_unknown_is_referred() -> None:
    ours = settings()
    data = prepare(applications(), ours)
    model = fit_logistic(data.matrix, data.labels)
    content = export.to_onnx(model, ours.features).SerializeToString()
    frame = applications(200, seed=7)
    frame.loc[0, ["has_previous_default", "loan_purpose"]] = [True, "YACHT"]
    frame.loc[1, ["has_previous_default", "loan_purpose"]] = [False, "YACHT"]
    found = decide(frame, ours, OnnxModel(content, ours.features))

    assert found.loc[0, ["decision", "score"]].tolist() == ["decline", 0.0]
    assert found.loc[0, "policy_rule"] == "previous_default"
    assert found.loc[0, "reasons"] == "The applicant has defaulted on an earlier loan."
    assert found.loc[1, "decision"] == "refer" and np.isnan(found.loc[1, "score"])
    assert found.loc[1, "reasons"] == "Missing or unknown: loan_purpose"
    rest = found.iloc[2:][~frame["has_previous_default"].iloc[2:].astype(bool)]
    assert set(rest["decision"]) == {"approve", "decline"}
    assert ((rest["score"] >= 0.5) == (rest["decision"] == "approve")).all()
    assert (rest.loc[rest["decision"] == "approve", "reasons"] == "").all()
    assert (rest.loc[rest["decision"] == "decline", "reasons"] == "The score is below 0.5.").all()
