"""Updates the online store to the current rows of gold.

It compares checksums of 64 keys at a time, so that it finds every difference: a change, a
late one, a deletion and a rejected application. It keeps no watermark. The rows go from
Trino into COPY as text; one transaction replaces all differing rows of all views, so that
no reader sees half of it. With them it notes up to which offset of the stream gold has
everything: newer rows that Flink streamed stay valid (feast_repo/streamed.py).
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import psycopg
import trino
from feast import FeatureStore, FeatureView
from feast.feature_view import FeatureViewState
from feast.repo_operations import apply_total
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from feast_repo.activity import GOLD_MINUTES, ActivityTables, Minute, kept_hours
from feast_repo.store import (
    current_table,
    gold_views,
    online_store,
    open_store,
    run,
    trino_cursor,
)
from feast_repo.streamed import FoldedOffset, note_folded_offsets, streamed_of
from feast_repo.typed_postgres import ROW_HASH, columns, key_column, table_name

BUCKET_BITS = 6
# A view with more differing buckets is replaced as a whole: their numbers would make the query
# too long.
MAX_BUCKETS = 10_000
BATCH_ROWS = 1_000
FOLDED_OFFSETS = "folded_offsets"
# Feast's registry never deletes the times of materialisations: one an hour is enough.
RECORD_EVERY = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Buckets = dict[int, tuple[int, int]]  # number: rows, checksum


class Materialized(NamedTuple):
    """The rows removed and written for one view."""

    view: str
    removed: int
    written: int
    seconds: float


class View:
    """A feature view on both sides: its gold table at one snapshot, and its online table."""

    def __init__(self, project: str, view: FeatureView, snapshot: int) -> None:
        self.name = str(view.name)
        self.columns = columns(view)
        self.key = key_column(view)
        self.online = sql.Identifier(table_name(project, view))
        self.gold = f"{current_table(view)} for version as of {snapshot}"

    def lines(self) -> str:
        """SQL of gold's rows as COPY reads them, with the key's bucket and a hash of the line."""
        names = [name for name in self.columns if name not in ROW_HASH]
        line = ", chr(9), ".join(copy_text(name, self.columns[name]) for name in names)
        return f"""
            select
                bitwise_right_shift_arithmetic({self.key}, {BUCKET_BITS}) as bucket,
                line,
                from_big_endian_64(xxhash64(to_utf8(line))) as row_hash
            from (select {self.key}, concat({line}) as line from {self.gold})
        """

    def online_buckets(self, connection: psycopg.Connection) -> Buckets:
        cursor = connection.execute(
            sql.SQL(
                "select {0} >> %s, count(*), coalesce(bit_xor(row_hash), 0) from {1} group by 1"
            ).format(sql.Identifier(self.key), self.online),
            (BUCKET_BITS,),
        )
        return {bucket: (rows, checksum) for bucket, rows, checksum in cursor}

    def remove(self, connection: psycopg.Connection, buckets: list[int] | None) -> int:
        """Delete the rows of these buckets, or all."""
        statement = sql.SQL("delete from {}").format(self.online)
        if buckets is None:
            return connection.execute(statement).rowcount
        of_buckets = sql.SQL(" where {} >> %s = any(%s)").format(sql.Identifier(self.key))
        return connection.execute(statement + of_buckets, (BUCKET_BITS, buckets)).rowcount

    def gold_lines(
        self, cursor: trino.dbapi.Cursor, buckets: list[int] | None
    ) -> Iterator[list[str]]:
        """Batches of lines: the overhead per item is larger than the line itself."""
        where = "" if buckets is None else f"where bucket in ({', '.join(map(str, buckets))})"
        cursor.execute(
            "select concat(line, chr(9), cast(row_hash as varchar), chr(10))"
            f" from ({self.lines()}) {where}"
        )
        lines = (line for [line] in cursor)
        while batch := list(islice(lines, BATCH_ROWS)):
            yield batch

    def write(
        self, connection: psycopg.Connection, lines: Iterator[list[str]], progress: Progress
    ) -> int:
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        statement = sql.SQL("copy {} ({}) from stdin").format(self.online, names)
        task = progress.add_task(self.name, total=None)
        written = 0
        cursor = connection.cursor()
        # Its thread sends one batch to PostgreSQL while the next one is read from Trino.
        with cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as copy:
            for batch in lines:
                copy.write("".join(batch))
                written += len(batch)
                progress.update(task, completed=written)
        progress.update(task, completed=written, total=written)
        return written


def pin(project: str, views: list[FeatureView], cursor: trino.dbapi.Cursor) -> list[View]:
    """The views over gold's current snapshots: later writes of dbt are for the next run."""
    parts = []
    for number, view in enumerate(views):
        catalog, schema, table = current_table(view).split(".")
        refs = f'{catalog}.{schema}."{table}$refs"'
        parts.append(f"select {number}, snapshot_id from {refs} where name = 'main'")
    # One query for all: each query has a start-up cost, however little it reads.
    cursor.execute(" union all ".join(parts))
    snapshots = dict(cursor.fetchall())
    return [View(project, view, snapshots[number]) for number, view in enumerate(views)]


def folded_offsets(views: list[FeatureView], cursor: trino.dbapi.Cursor) -> list[FoldedOffset]:
    """How far gold is in the stream. dbt builds it after the features: read it before them."""
    catalog, schema, _ = current_table(views[0]).split(".")
    cursor.execute(f"select input_id, next_offset from {catalog}.{schema}.{FOLDED_OFFSETS}")
    return [(input_id, offset) for input_id, offset in cursor]


def activity_minutes(views: list[FeatureView], cursor: trino.dbapi.Cursor) -> list[Minute]:
    """What each segment has in each minute that a window can reach, and all segments."""
    catalog, schema, _ = current_table(views[0]).split(".")
    cursor.execute(f"""
        select
            segment,
            if(
                created_minute > current_timestamp - interval '{kept_hours()}' hour,
                created_minute
            ),
            sum(applications),
            sum(approved),
            cast(sum(total_amount) as varchar)
        from {catalog}.{schema}.{GOLD_MINUTES}
        group by 1, 2
    """)
    return [tuple(row) for row in cursor]


def gold_buckets(views: list[View], cursor: trino.dbapi.Cursor) -> dict[str, Buckets]:
    cursor.execute(
        " union all ".join(
            f"select '{view.name}', bucket, count(*), bitwise_xor_agg(row_hash)"
            f" from ({view.lines()}) group by bucket"
            for view in views
        )
    )
    found: dict[str, Buckets] = {view.name: {} for view in views}
    for name, bucket, rows, checksum in cursor:
        found[name][bucket] = (rows, checksum)
    return found


def differing_buckets(
    views: list[View], cursor: trino.dbapi.Cursor, connection: psycopg.Connection
) -> dict[str, list[int]]:
    """The buckets to replace; a view that is to be replaced as a whole is left out."""
    online = {view.name: view.online_buckets(connection) for view in views}
    filled = [view for view in views if online[view.name]]
    if not filled:
        return {}
    differing = {}
    for name, gold in gold_buckets(filled, cursor).items():
        numbers = gold.keys() | online[name].keys()
        differing[name] = [n for n in numbers if gold.get(n) != online[name].get(n)]
    return {name: buckets for name, buckets in differing.items() if len(buckets) <= MAX_BUCKETS}


def copy_text(name: str, kind: str) -> str:
    """SQL of a column as COPY reads it: null is \\N, and a text escapes what would end it."""
    text = f"cast({name} as varchar)"
    if kind == "text":
        for raw, escaped in (("'\\'", "'\\\\'"), ("chr(9)", "'\\t'"), ("chr(10)", "'\\n'")):
            text = f"replace({text}, {raw}, {escaped})"
        text = f"replace({text}, chr(13), '\\r')"
    return f"coalesce({text}, '\\N')"


def materialize(store: FeatureStore, progress: Progress, everything: bool) -> list[Materialized]:
    """Make each view's online table equal to its gold table; return the rows changed."""
    registered = gold_views(store)
    tables = [sql.Identifier(table_name(store.project, view)) for view in registered]
    with (
        trino_cursor(store) as cursor,
        online_store(store).connection(store.config) as connection,
        connection.transaction(),
    ):
        # Other writers wait, and read gold after that; readers do not wait.
        connection.execute(
            sql.SQL("lock table {} in share row exclusive mode").format(sql.SQL(", ").join(tables))
        )
        offsets = folded_offsets(registered, cursor)
        minutes = activity_minutes(registered, cursor)
        views = pin(store.project, registered, cursor)
        buckets = {} if everything else differing_buckets(views, cursor, connection)
        results = [
            replace_rows(view, buckets.get(view.name), cursor, connection, progress)
            for view in views
        ]
        note_folded_offsets(connection.cursor(), store.project, offsets)
        ActivityTables(store.project).replace(connection, minutes)
        for streamed in {streamed_of(store.project, view) for view in registered}:
            streamed.delete_folded(connection)
    changed = {result.view for result in results if result.removed or result.written}
    for view in registered:
        record(store, view, view.name in changed)
    return results


def replace_rows(
    view: View,
    buckets: list[int] | None,
    cursor: trino.dbapi.Cursor,
    connection: psycopg.Connection,
    progress: Progress,
) -> Materialized:
    """Replace the rows of these buckets, or all."""
    began = time.monotonic()
    if buckets == []:
        return Materialized(view.name, 0, 0, 0)
    removed = view.remove(connection, buckets)
    written = view.write(connection, view.gold_lines(cursor, buckets), progress)
    return Materialized(view.name, removed, written, time.monotonic() - began)


def record(store: FeatureStore, view: FeatureView, changed: bool) -> None:
    """Record it in Feast's registry: Feast serves only views that are marked as online."""
    now = datetime.now(UTC)
    since = view.most_recent_end_time or EPOCH
    is_old = changed and since.replace(tzinfo=UTC) < now - RECORD_EVERY
    if view.state != FeatureViewState.AVAILABLE_ONLINE or is_old:
        store.registry.apply_materialization(view, store.project, since, now)


def apply(store: FeatureStore) -> None:
    """What `feast apply` does, in its folder."""
    with chdir(store.repo_path):
        sys.path.append(str(store.repo_path))  # as it does: the definitions import each other
        apply_total(store.config, store.repo_path, skip_source_validation=False)


def report(console: Console, results: list[Materialized], seconds: float) -> None:
    for result in results:
        if not (result.removed or result.written):
            console.print(f"{result.view:<16} nothing new")
            continue
        gone = max(result.removed - result.written, 0)
        less = f", {gone:,} fewer than before" if gone else ""
        rate = f"{result.written / result.seconds:,.0f} rows/s"
        console.print(f"{result.view:<16} {result.written:,} rows written{less}, {rate}")
    console.print(f"total {seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m feast_repo.materialize", description=__doc__)
    parser.add_argument("--all", action="store_true", help="write every row, not only differences")
    parser.add_argument("--apply", action="store_true", help="do `feast apply` first")
    arguments = parser.parse_args()

    def command(console: Console) -> int:
        bar = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *bar,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress:
            if arguments.apply:  # in this process: importing Feast takes longer than the work
                apply(open_store())
            store, began = open_store(), time.monotonic()
            results = materialize(store, progress, arguments.all)
        report(console, results, time.monotonic() - began)
        return 0

    run(command)


if __name__ == "__main__":
    main()
