"""Applications that are made up: decided by their numbers, with some chance."""

import numpy as np
import pandas as pd

from ml.settings import DEFAULT_FILE, TrainingSettings, load_settings


def settings(**training: object) -> TrainingSettings:
    """The project's, with few rows and short searches."""
    found = load_settings(DEFAULT_FILE)
    short = {"trials": 2, "folds": 2, "workers": 1, "maximum_rounds": 30, "patience": 5}
    return found.model_copy(
        update={
            "training": found.training.model_copy(update={**short, **training}),
            "interval": found.interval.model_copy(update={"resamples": 20}),
            "checks": found.checks.model_copy(
                update={"minimum_rows": 300, "minimum_rows_of_each_label": 50}
            ),
        }
    )


def applications(rows: int = 1_500, seed: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    income = np.round(random.lognormal(11, 0.5, rows))
    amount = np.round(random.uniform(1_000, 30_000, rows))
    frame = pd.DataFrame(
        {
            "application_id": np.arange(1, rows + 1),
            "decided_at": pd.date_range("2024-01-01", "2024-04-30", rows, tz="UTC"),
            "requested_amount": amount,
            "age_years": random.integers(20, 70, rows),
            "gender": random.choice(["female", "male"], rows),
            "education": random.choice(["High School", "Bachelor", "Master"], rows),
            "annual_income": income,
            "employment_years": random.integers(0, 30, rows),
            "home_ownership": random.choice(["RENT", "OWN", "MORTGAGE"], rows),
            "loan_amount": amount,
            "loan_purpose": random.choice(["MEDICAL", "VENTURE", "PERSONAL"], rows),
            "interest_rate_percent": np.round(random.uniform(5, 20, rows), 2),
            "loan_to_income_percent": np.round(100 * amount / income),
            "requested_to_income_percent": 100 * amount / income,
            "credit_score": random.integers(400, 850, rows),
            "credit_history_years": random.integers(2, 20, rows),
            "has_previous_default": random.random(rows) < 0.3,
        }
    )
    wish = (
        0.3 * (frame["interest_rate_percent"] - 12)
        + 0.05 * (frame["requested_to_income_percent"] - 25)
        + 0.004 * (frame["credit_score"] - 620)
    )
    approved = random.random(rows) < 1 / (1 + np.exp(-wish))
    frame["loan_status"] = (approved & ~frame["has_previous_default"]).astype(int)
    return frame
