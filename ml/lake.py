"""What is read of the lake by SQL: decisions, snapshots, addresses."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pandas as pd
import trino

from ml.errors import MlError
from ml.service_errors import service_errors_as_ml_errors
from ml.settings import setting

ROWS_AT_ONCE = 20_000

# The version with which the label became what it is now is the decision. Its features count as
# far as the lake knew them when it learned of the decision. Where it learned of a later version
# no later than that, the two are indistinguishable: such an application is left out.
DECISIONS = """
with versions as (
    select
        *,
        lag(loan_status) over (partition by application_id order by version_number) as before
    from {silver}.loan_application_history
),
decided as (
    select
        application_id,
        max(version_number) as version_number,
        max_by(loan_status, version_number) as label,
        max_by(valid_from, version_number) as decided_at,
        max_by(greatest(valid_from, _known_at), version_number) as event_timestamp,
        max_by(cast(loan_amnt as double), version_number) as requested_amount
    from versions
    where before is distinct from loan_status
    group by application_id
),
late as (
    select decided.application_id
    from decided
    inner join versions
        on
            decided.application_id = versions.application_id
            and versions.version_number > decided.version_number
            and greatest(versions.valid_from, versions._known_at) <= decided.event_timestamp
    group by decided.application_id
)
select
    decided.application_id,
    cast(decided.label as bigint) as {label},
    decided.decided_at,
    decided.event_timestamp,
    decided.requested_amount
from decided
inner join {silver}.loan_applications as current
    on decided.application_id = current.application_id
left join late on decided.application_id = late.application_id
where late.application_id is null
order by decided.application_id
"""


class Lake:
    """Trino as the user `ml`, who reads silver and gold and writes nothing."""

    def __init__(self, env: dict[str, str]) -> None:
        self.host, self.port = setting(env, "TRINO_HOST"), int(setting(env, "TRINO_PORT"))
        # Tests have schemas of their own.
        self.silver = f"iceberg.{env.get('SILVER_SCHEMA', 'silver')}"
        self.gold = f"iceberg.{env.get('GOLD_SCHEMA', 'gold')}"

    def batches(self, sql: str) -> Iterator[pd.DataFrame]:
        """The rows of a query, some thousands at a time. Raises MlError if it fails."""
        with (
            service_errors_as_ml_errors(),
            trino.dbapi.connect(
                host=self.host, port=self.port, user="ml", source="ml", timezone="UTC"
            ) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(sql)
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield pd.DataFrame(rows, columns=names)

    def frame(self, sql: str) -> pd.DataFrame:
        parts = list(self.batches(sql))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def decisions(self, label: str) -> pd.DataFrame:
        """An entity for each decided application, with its label; ordered by key."""
        return self.frame(DECISIONS.format(silver=self.silver, label=label))

    def gold_snapshot(self) -> tuple[str, datetime]:
        """The id of the features' current snapshot, and when it was committed."""
        table = f'{self.gold}."historical_features'
        rows = self.frame(
            f"select cast(snapshots.snapshot_id as varchar) as id, committed_at"
            f' from {table}$snapshots" as snapshots'
            f' inner join {table}$refs" as refs on snapshots.snapshot_id = refs.snapshot_id'
            " where refs.name = 'main'"
        )
        if rows.empty:
            raise MlError("gold has no features yet", "`dbt build`")
        return str(rows["id"][0]), rows["committed_at"][0].to_pydatetime()

    def has_snapshot(self, snapshot: str) -> bool:
        rows = self.frame(
            f'select 1 as found from {self.gold}."historical_features$snapshots"'
            f" where snapshot_id = {snapshot}"
        )
        return not rows.empty

    def snapshots(self) -> dict[str, str]:
        """The Iceberg snapshot of each table that a training set is made of; silver's are views."""
        tables = [
            f"{self.silver}.int_loan_applications__state",
            f"{self.silver}.int_loan_applications__versions",
            f"{self.gold}.historical_features",
        ]
        parts = []
        for table in tables:
            schema, name = table.rsplit(".", 1)
            parts.append(
                f"select '{table}', cast(snapshot_id as varchar)"
                f" from {schema}.\"{name}$refs\" where name = 'main'"
            )
        rows: list[list[Any]] = self.frame(" union all ".join(parts)).to_numpy().tolist()
        return dict(sorted((str(table), str(snapshot)) for table, snapshot in rows))
