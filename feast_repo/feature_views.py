"""The features, by gold table; their types are those of gold's contracts."""

from datetime import timedelta

from accepted_values import accepted_values
from data_sources import applicant_features, credit_history_features, loan_features
from entities import application
from feast import FeatureView, Field
from feast.types import Bool, Float64, Int64, String

# An application does not expire: what was true of it stays until it changes.
# Ten years reach the oldest; 0 would mean for ever, but also that Feast's
# materialize-incremental begins with the last year only.
NEVER_EXPIRES = timedelta(days=3650)

LEAK = (
    "LEAK: true decides loan_status = 0. Every application with a previous default "
    "was rejected, so a model that sees it learns the bank's rule, not a risk."
)

applicant = FeatureView(
    name="applicant",
    entities=[application],
    ttl=NEVER_EXPIRES,
    source=applicant_features,
    description="Who applies.",
    schema=[
        Field(name="age_years", dtype=Int64, description="Age of the applicant."),
        Field(
            name="gender", dtype=String, description=f"Gender: {accepted_values('person_gender')}."
        ),
        Field(
            name="education",
            dtype=String,
            description=f"Highest degree: {accepted_values('person_education')}.",
        ),
        Field(name="annual_income", dtype=Float64, description="Yearly income."),
        Field(name="employment_years", dtype=Int64, description="Years of employment."),
        Field(
            name="home_ownership",
            dtype=String,
            description=f"How the applicant lives: {accepted_values('person_home_ownership')}.",
        ),
    ],
)

loan = FeatureView(
    name="loan",
    entities=[application],
    ttl=NEVER_EXPIRES,
    source=loan_features,
    description="What is applied for.",
    schema=[
        Field(name="loan_amount", dtype=Float64, description="Amount applied for."),
        Field(
            name="loan_purpose",
            dtype=String,
            description=f"What the loan is for: {accepted_values('loan_intent')}.",
        ),
        Field(name="interest_rate_percent", dtype=Float64, description="Yearly, 0 to 100."),
        Field(
            name="loan_to_income_percent",
            dtype=Float64,
            description="Amount as a share of the yearly income, 49.0 is 49 %.",
        ),
    ],
)

credit_history = FeatureView(
    name="credit_history",
    entities=[application],
    ttl=NEVER_EXPIRES,
    source=credit_history_features,
    description=f"What the bureau and the file say. has_previous_default: {LEAK}",
    schema=[
        Field(name="credit_score", dtype=Int64, description="The bureau's score, 300 to 850."),
        Field(name="credit_score_band", dtype=String, description="poor to excellent."),
        Field(name="credit_history_years", dtype=Int64, description="Years at the bureau."),
        Field(name="has_previous_default", dtype=Bool, description=LEAK),
    ],
)
