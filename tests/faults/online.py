"""Is what Flink streamed what silver has? Of each application, a feature of each view; of each
purpose, the applications of each minute."""

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
# From the first full minute of the stream on, as seconds.
FIRST_MINUTE = """
select 60 + extract(epoch from date_trunc('minute', began_at))::bigint
from streaming.loan_approval_segment_activity_began
where is_current
"""
SILVER_MINUTES = """
select
    concat('loan_purpose=', loan_intent, ' ', format_datetime(created_at, 'HH:mm')),
    count(*),
    count_if(loan_status = 1),
    cast(sum(loan_amnt) as varchar)
from iceberg.silver.loan_applications
where created_at >= from_unixtime({first_minute})
group by 1
"""
STREAMED_MINUTES = """
select
    segment || to_char(created_minute at time zone 'UTC', ' HH24:MI'),
    applications,
    approved,
    total_amount::text
from streaming.loan_approval_segment_activity
join streaming.loan_approval_segment_activity_began using (run)
where
    is_current
    and segment like 'loan_purpose=%'
    and created_minute >= to_timestamp({first_minute})
"""

Rows = dict[Any, list[Any]]


def wrong_features(settings: Settings) -> list[str]:
    """What differs once Flink has had time to catch up with silver, in words."""
    [first_minute] = streamed(FIRST_MINUTE)
    return [
        *wrong(settings, SILVER, STREAMED),
        *wrong(
            settings,
            SILVER_MINUTES.format(first_minute=first_minute),
            STREAMED_MINUTES.format(first_minute=first_minute),
        ),
    ]


def wrong(settings: Settings, in_silver: str, in_store: str) -> list[str]:
    silver: Rows = {key: values for key, *values in Trino(settings).query(in_silver)}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (different := differences(silver, streamed(in_store))) and time.monotonic() < deadline:
        time.sleep(0.5)
    return [f"Flink streamed something else than silver has: {different[:3]}"] if different else []


def differences(silver: Rows, online: Rows) -> list[tuple[Any, Any, Any]]:
    keys = sorted(silver.keys() | online.keys())
    return [
        (key, silver.get(key), online.get(key))
        for key in keys
        if silver.get(key) != online.get(key)
    ]


def streamed(query: str) -> Rows:
    with closing(connect(job_settings())) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return {key: values for key, *values in cursor.fetchall()}
