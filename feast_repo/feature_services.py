"""The sets of features that models use.

Each is named, so that one that gold no longer has is an error here and not in a model.
"""

from data_sources import OWNER
from feast import FeatureService
from feature_views import applicant, credit_history, loan, request_ratios

# A model is trained with the features that it is scored with: without
# has_previous_default, which determines the decision.
MODEL = [
    applicant[
        [
            "age_years",
            "gender",
            "education",
            "annual_income",
            "employment_years",
            "home_ownership",
        ]
    ],
    loan[["loan_amount", "loan_purpose", "interest_rate_percent", "loan_to_income_percent"]],
    credit_history[["credit_score", "credit_score_band", "credit_history_years"]],
    request_ratios,
]

loan_approval = FeatureService(
    name="loan_approval",
    description="Score with this one, online; it takes requested_amount with the request.",
    features=MODEL,
    tags={"for": "scoring", "model": "loan_approval"},
    owner=OWNER,
)

loan_approval_training = FeatureService(
    name="loan_approval_training",
    description="Train with this one, as of the time of each decision; the same features.",
    features=MODEL,
    tags={"for": "training", "model": "loan_approval"},
    owner=OWNER,
)

loan_approval_with_leak = FeatureService(
    name="loan_approval_with_leak",
    description=(
        "All features of gold, for looking at, not for models: has_previous_default "
        "decides loan_status."
    ),
    features=[applicant, loan, credit_history],
    tags={"for": "looking at"},
    owner=OWNER,
)
