"""Brings the online store to what gold holds now.

What differs is found by checksums of 64 keys at a time, so that a change, a late one, a
deletion and a rejected application are all found, whatever was done or not done before:
there is no mark to lose. The rows go from Trino into COPY as text; one transaction
replaces all that differs, in all views, and nobody reads half of it.
"""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
import trino
from feast import FeatureStore, FeatureView
from feast.feature_view import FeatureViewState
from psycopg import sql
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from feast_repo.store import current_table, gold_views, open_store, run, trino_cursor
from feast_repo.typed_postgres import ROW_HASH, columns, key_column, table_name

BUCKET_BITS = 6
# Of more buckets than this every row is read: their numbers would make too long a query.
MANY = 10_000
# Feast's registry keeps the times of all materialisations for ever: one an hour is enough.
RECORD_EVERY = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Buckets = dict[int, tuple[int, int]]  # number: rows, checksum


class Done(NamedTuple):
    """What was done for one view."""

    view: str
    removed: int
    written: int
    seconds: float


class View:
    """A feature view on both sides: its gold table at one snapshot, and its online table."""

    def __init__(self, project: str, view: FeatureView, cursor: trino.dbapi.Cursor) -> None:
        self.name = str(view.name)
        self.columns = columns(view)
        self.key = key_column(view)
        self.online = sql.Identifier(table_name(project, view))
        self.gold = f"{current_table(view)} for version as of {snapshot(view, cursor)}"

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

    def gold_buckets(self, cursor: trino.dbapi.Cursor) -> Buckets:
        cursor.execute(
            f"select bucket, count(*), bitwise_xor_agg(row_hash) from ({self.lines()}) group by 1"
        )
        return {bucket: (rows, checksum) for bucket, rows, checksum in cursor.fetchall()}

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

    def gold_lines(self, cursor: trino.dbapi.Cursor, buckets: list[int] | None) -> Iterator[str]:
        where = "" if buckets is None else f"where bucket in ({', '.join(map(str, buckets))})"
        cursor.execute(
            "select concat(line, chr(9), cast(row_hash as varchar), chr(10))"
            f" from ({self.lines()}) {where}"
        )
        for [line] in cursor:
            yield line

    def write(
        self, connection: psycopg.Connection, lines: Iterator[str], progress: Progress
    ) -> int:
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        statement = sql.SQL("copy {} ({}) from stdin").format(self.online, names)
        task = progress.add_task(self.name, total=None)
        written = 0
        with connection.cursor().copy(statement) as copy:
            for line in lines:
                copy.write(line)
                written += 1
                if written % 10_000 == 0:
                    progress.update(task, completed=written)
        progress.update(task, completed=written, total=written)
        return written


def snapshot(view: FeatureView, cursor: trino.dbapi.Cursor) -> int:
    """Gold as it is now: what dbt writes meanwhile is for the next run."""
    catalog, schema, table = current_table(view).split(".")
    cursor.execute(
        f"select snapshot_id from {catalog}.{schema}.\"{table}$refs\" where name = 'main'"
    )
    [[snapshot_id]] = cursor.fetchall()
    return int(snapshot_id)


def copy_text(name: str, kind: str) -> str:
    """SQL of a column as COPY reads it: null is \\N, and a text escapes what would end it."""
    text = f"cast({name} as varchar)"
    if kind == "text":
        for raw, escaped in (("'\\'", "'\\\\'"), ("chr(9)", "'\\t'"), ("chr(10)", "'\\n'")):
            text = f"replace({text}, {raw}, {escaped})"
        text = f"replace({text}, chr(13), '\\r')"
    return f"coalesce({text}, '\\N')"


def materialize(store: FeatureStore, progress: Progress, everything: bool) -> list[Done]:
    """Make each view's online table what its gold table is; returns what that took."""
    views = gold_views(store)
    online = store.config.online_store
    done = []
    with (
        trino_cursor(store) as cursor,
        psycopg.connect(
            host=online.host,
            port=online.port,
            dbname=online.database,
            user=online.user,
            password=online.password,
            sslmode=online.sslmode,
        ) as connection,
    ):
        pinned = [View(store.project, view, cursor) for view in views]
        # Whoever else writes waits; whoever reads sees the rows from before.
        connection.execute(
            sql.SQL("lock table {} in share row exclusive mode").format(
                sql.SQL(", ").join(view.online for view in pinned)
            )
        )
        for view in pinned:
            done.append(bring(view, cursor, connection, progress, everything))
    changed = {one.view for one in done if one.removed or one.written}
    for view in views:
        record(store, view, view.name in changed)
    return done


def bring(
    view: View,
    cursor: trino.dbapi.Cursor,
    connection: psycopg.Connection,
    progress: Progress,
    everything: bool,
) -> Done:
    began = time.monotonic()
    online = view.online_buckets(connection)
    buckets = None
    if online and not everything:
        gold = view.gold_buckets(cursor)
        differing = [n for n in gold.keys() | online.keys() if gold.get(n) != online.get(n)]
        if not differing:
            return Done(view.name, 0, 0, time.monotonic() - began)
        buckets = differing if len(differing) <= MANY else None
    removed = view.remove(connection, buckets) if online else 0
    written = view.write(connection, view.gold_lines(cursor, buckets), progress)
    return Done(view.name, removed, written, time.monotonic() - began)


def record(store: FeatureStore, view: FeatureView, changed: bool) -> None:
    """Tell Feast's registry: it serves only views that are known to be online."""
    now = datetime.now(UTC)
    since = view.most_recent_end_time or EPOCH
    is_old = changed and since.replace(tzinfo=UTC) < now - RECORD_EVERY
    if view.state != FeatureViewState.AVAILABLE_ONLINE or is_old:
        store.registry.apply_materialization(view, store.project, since, now)


def report(console: Console, done: list[Done]) -> None:
    for one in done:
        rate = f", {one.written / one.seconds:,.0f} rows/s" if one.written else ""
        what = f"{one.written:,} rows written" if one.written or one.removed else "nothing new"
        gone = max(one.removed - one.written, 0)
        less = f", {gone:,} fewer than before" if gone else ""
        console.print(f"{one.view:<16} {what}{less} in {one.seconds:.1f} s{rate}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m feast_repo.materialize", description=__doc__)
    parser.add_argument("--all", action="store_true", help="write every row, whatever is there")
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
            done = materialize(open_store(), progress, arguments.all)
        report(console, done)
        return 0

    run(command)


if __name__ == "__main__":
    main()
