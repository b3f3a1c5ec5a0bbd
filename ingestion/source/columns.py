"""The columns of the loan file, and the key and times that it lacks.

The file has no key and no time. Both are computed from the row's position, so that
loading the same file twice gives the same table.
"""

from datetime import UTC, datetime, timedelta

TABLE = "loan_applications"

FILE_COLUMNS = (
    "person_age",
    "person_gender",
    "person_education",
    "person_income",
    "person_emp_exp",
    "person_home_ownership",
    "loan_amnt",
    "loan_intent",
    "loan_int_rate",
    "loan_percent_income",
    "cb_person_cred_hist_length",
    "credit_score",
    "previous_loan_defaults_on_file",
    "loan_status",
)
TABLE_COLUMNS = ("application_id", *FILE_COLUMNS, "created_at", "updated_at")

# One application every 700 s fills the year 2024 with 45,000 of them; each
# further 45,000 fall on the same moments, one microsecond later.
FIRST_CREATED = datetime(2024, 1, 1, tzinfo=UTC)
ROW_INTERVAL_SECONDS = 700
ROWS_PER_CYCLE = 45_000


def application_id(row: int) -> int:
    """The key of the 0-based ``row`` of the file."""
    return row + 1


def created_at(row: int) -> datetime:
    """The creation (and first update) time of the 0-based ``row``, in UTC."""
    cycle, position = divmod(row, ROWS_PER_CYCLE)
    return FIRST_CREATED + timedelta(seconds=ROW_INTERVAL_SECONDS * position, microseconds=cycle)
