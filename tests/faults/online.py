"""Is what Flink streamed what silver has? Of each application, a feature of each view."""

import time
from contextlib import closing
from typing import Any

from ingestion.settings import Settings
from ingestion.trino_client import Trino
from streaming.job import connect
from streaming.settings import job_settings

TIMEOUT_SECONDS = 120
SILVER = """
select application_id, person_age, cast(loan_amnt as double), credit_score
from iceberg.silver.loan_applications
"""
# What was streamed after the newest TRUNCATE.
STREAMED = """
select application_id, age_years, loan_amount, credit_score
from streaming.loan_approval_application
where has_features and lsn > coalesce(
    (select max(lsn) from streaming.loan_approval_application_truncated), -1
)
"""

Features = dict[int, list[Any]]


def wrong_features(settings: Settings) -> list[str]:
    """What differs once Flink has had time to catch up with silver, in words."""
    silver: Features = {key: values for key, *values in Trino(settings).query(SILVER)}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (different := differences(silver, streamed())) and time.monotonic() < deadline:
        time.sleep(0.5)
    return [f"Flink streamed something else than silver has: {different[:3]}"] if different else []


def differences(silver: Features, online: Features) -> list[tuple[int, Any, Any]]:
    keys = sorted(silver.keys() | online.keys())
    return [
        (key, silver.get(key), online.get(key))
        for key in keys
        if silver.get(key) != online.get(key)
    ]


def streamed() -> Features:
    with closing(connect(job_settings())) as connection, connection.cursor() as cursor:
        cursor.execute(STREAMED)
        return {key: values for key, *values in cursor.fetchall()}
