"""The sets of features that models ask for, in training and in scoring alike."""

from feast import FeatureService
from feature_views import LEAK, applicant, credit_history, loan

loan_approval = FeatureService(
    name="loan_approval",
    description=(
        "Train and score with this one. Leaves out has_previous_default, "
        "which gives the decision away."
    ),
    features=[
        applicant,
        loan,
        credit_history[["credit_score", "credit_score_band", "credit_history_years"]],
    ],
)

loan_approval_with_leak = FeatureService(
    name="loan_approval_with_leak",
    description=f"All features, for looking at, not for models. has_previous_default: {LEAK}",
    features=[applicant, loan, credit_history],
)
