"""The activity of segments online: sums over minutes of application, taken when they are read.

A window ends now, so that its figures change without a change of data: what is stored is what
each minute has, and a view of PostgreSQL sums the minutes of each window. From the first full
minute of the stream that Flink has read on the minutes are Flink's, seconds after a commit;
those before it are gold's, as of the last `materialize`.
"""

import hashlib
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import yaml
from psycopg import Connection, Cursor, sql

from feast_repo.streamed import SCHEMA

VIEW = "loan_segment_activity"
GOLD_MINUTES = "segment_activity_by_minute"
SETTINGS = Path(__file__).resolve().parents[1] / "dbt_project/dbt_project.yml"

Minute = tuple[str, str | None, int, int, str]


class ActivityTables:
    """What a project's online store has of segments: names in SQL."""

    def __init__(self, project: str) -> None:
        self.view = sql.Identifier(f"{project}_{VIEW}")
        self.segments = sql.Identifier(f"{project}_segments")
        self.minutes = sql.Identifier(f"{project}_segment_activity_minutes")
        self.streamed = sql.Identifier(SCHEMA, f"{project}_segment_activity")
        self.began = sql.Identifier(SCHEMA, f"{project}_segment_activity_began")

    def ensure(self, cursor: Cursor) -> None:
        """Create what is missing; the view takes Flink's minutes once its tables are there."""
        cursor.execute(
            sql.SQL("create table if not exists {} (segment text primary key)").format(
                self.segments
            )
        )
        cursor.execute(
            sql.SQL("""
                create table if not exists {} (
                    segment text,
                    created_minute timestamp with time zone,
                    applications bigint not null,
                    approved bigint not null,
                    total_amount numeric(38, 2) not null,
                    primary key (segment, created_minute)
                )
            """).format(self.minutes)
        )
        self._ensure_view(cursor)

    def _ensure_view(self, cursor: Cursor) -> None:
        """Readers would wait for a new view until the transaction ends: only if it must change."""
        definition = self._view(is_streamed=self.is_streamed(cursor))
        digest = hashlib.sha256(definition.as_bytes(cursor)).hexdigest()
        cursor.execute(
            "select obj_description(to_regclass(%s), 'pg_class')", (self.view.as_string(),)
        )
        if cursor.fetchone() != (digest,):
            # Not "create or replace": that cannot take a column away.
            cursor.execute(sql.SQL("drop view if exists {}").format(self.view))
            cursor.execute(definition)
            cursor.execute(
                sql.SQL("comment on view {} is {}").format(self.view, sql.Literal(digest))
            )

    def drop(self, cursor: Cursor) -> None:
        cursor.execute(sql.SQL("drop view if exists {}").format(self.view))
        for table in (self.segments, self.minutes):
            cursor.execute(sql.SQL("drop table if exists {}").format(table))

    def is_streamed(self, cursor: Cursor) -> bool:
        cursor.execute("select to_regclass(%s)", (self.began.as_string(),))
        return cursor.fetchone() != (None,)

    def replace(self, connection: Connection, minutes: list[Minute]) -> None:
        """Replace gold's minutes; one without a time only says that there is such a segment."""
        cursor = connection.cursor()
        self.ensure(cursor)
        cursor.executemany(
            sql.SQL("insert into {} values (%s) on conflict do nothing").format(self.segments),
            [(segment,) for segment in {segment for segment, *_ in minutes}],
        )
        cursor.execute(sql.SQL("delete from {}").format(self.minutes))
        with cursor.copy(sql.SQL("copy {} from stdin").format(self.minutes)) as copy:
            for row in minutes:
                if row[1] is not None:
                    copy.write_row(row)
        if self.is_streamed(cursor):
            self._delete_old_minutes(cursor)

    def _delete_old_minutes(self, cursor: Cursor) -> None:
        """Of Flink's, those that no window reaches, and then runs that have none left."""
        cursor.execute(
            sql.SQL(
                "delete from {} where created_minute < now() - make_interval(hours => %s)"
            ).format(self.streamed),
            (kept_hours(),),
        )
        cursor.execute(
            sql.SQL(
                "delete from {began} as began where not is_current"
                " and not exists (select from {streamed} as kept where kept.run = began.run)"
            ).format(began=self.began, streamed=self.streamed)
        )

    def _view(self, *, is_streamed: bool) -> sql.Composed:
        return sql.SQL("""
            create view {view} as
            select
                segments.segment,
                now() as event_timestamp,
                now() as created_timestamp,
                {features}
            from {segments} as segments
            cross join lateral (
                select {sums}
                from ({minutes}) as counted
                where created_minute <= date_trunc('minute', now(), 'UTC')
            ) as activity
        """).format(
            view=self.view,
            segments=self.segments,
            features=sql.SQL(", ").join(sql.SQL(text) for text in features()),
            sums=sql.SQL(", ").join(sql.SQL(text) for text in sums()),
            minutes=sql.SQL(STREAMED_MINUTES if is_streamed else GOLD_MINUTES_ONLY).format(
                minutes=self.minutes, streamed=self.streamed, began=self.began
            ),
        )


GOLD_MINUTES_ONLY = """
    select * from {minutes} as gold
    where gold.segment = segments.segment
"""
STREAMED_MINUTES = """
    select gold.created_minute, gold.applications, gold.approved, gold.total_amount
    from {minutes} as gold
    where gold.segment = segments.segment
    and gold.created_minute < coalesce(
        (select began_at from {began} where is_current), 'infinity'
    )
    union all
    select streamed.created_minute, streamed.applications, streamed.approved, streamed.total_amount
    from {began} as began
    join {streamed} as streamed on streamed.run = began.run
    where began.is_current
    and streamed.segment = segments.segment
    and streamed.created_minute >= began.began_at
"""


@cache
def windows() -> dict[str, int]:
    """Minutes of each window, by the end of its features' names."""
    settings: dict[str, Any] = yaml.safe_load(SETTINGS.read_text())
    found: dict[str, int] = settings["vars"]["activity_windows"]
    return found


def kept_hours() -> int:
    """The longest window, and an hour in which nothing was materialised."""
    return ceil(max(windows().values()) / 60) + 1


def sums() -> list[str]:
    """SQL of what each window's minutes have together."""
    return [
        f"coalesce(sum({figure}) filter (where created_minute > "
        f"date_trunc('minute', now(), 'UTC') - interval '{minutes} minutes'), 0)"
        f" as {figure}_{window}"
        for window, minutes in windows().items()
        for figure in ("applications", "approved", "total_amount")
    ]


def features() -> list[str]:
    """SQL of the features, as dbt_project/models/gold/features/loan_segment_activity.sql."""
    return [
        expression.format(window)
        for window in windows()
        for expression in (
            "applications_{0}::bigint",
            "total_amount_{0}::double precision",
            "total_amount_{0}::double precision / nullif(applications_{0}, 0)"
            " as average_amount_{0}",
            "100 * approved_{0}::double precision / nullif(applications_{0}, 0)"
            " as approval_rate_percent_{0}",
        )
    ]
