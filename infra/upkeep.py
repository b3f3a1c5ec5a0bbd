"""`python -m infra.upkeep`: keeps the files of dbt's tables few, and says how few.

Every run of dbt leaves small files, lists of deleted rows, old snapshots. What
Trino is to do about it, table by table, is in `meta` in dbt_project.yml.

dbt has priority. Rewriting a table makes a MERGE into it fail that began before
the rewriting ended. So a table is rewritten while dbt is quiet and under the lock
that a fold takes, and the rewriting is canceled when dbt begins: a fold waits for
the lock meanwhile.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import trino
import typer
import yaml
from minio import Minio
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table as RichTable
from trino.exceptions import Error, HttpError, TrinoQueryError

from infra.command_line import print_error, run_command
from infra.env import load_env
from infra.errors import LakehouseError
from infra.fold_lock import FoldLock
from infra.paths import REPO
from infra.services import trino_healthy

# In this order: later operations remove what earlier ones leave.
REWRITES = ("optimize",)
OPERATIONS = (*REWRITES, "analyze", "expire_snapshots", "remove_orphan_files")
# Pauses between the statements of one dbt run are shorter than this.
QUIET_SECONDS = 5
MAX_WAIT_SECONDS = 600
POLL_INTERVAL_SECONDS = 0.5
# Another writer than dbt changed the table during the statement.
COMMIT_CONFLICTS = {"ICEBERG_COMMIT_ERROR", "TRANSACTION_CONFLICT"}

out = Console(width=None if sys.stdout.isatty() else 200, highlight=False)


@dataclass(frozen=True)
class DbtTable:
    """A table of dbt's, and the maintenance that its `meta` declares."""

    database: str
    schema: str
    name: str
    upkeep: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def hidden(self, kind: str) -> str:
        """One of Iceberg's metadata tables."""
        return f'{self.database}.{self.schema}."{self.name}${kind}"'

    def statements(self) -> dict[str, str]:
        """Trino's statement for each operation that is declared."""
        where = f"{self.database}.{self.schema}.{self.name}"
        found = {}
        for operation in OPERATIONS:
            if not (arguments := self.upkeep.get(operation)):
                continue
            if operation == "analyze":
                found[operation] = f"analyze {where}"
            else:
                pairs = arguments.items() if isinstance(arguments, dict) else ()
                listed = ", ".join(f"{key} => '{value}'" for key, value in pairs)
                found[operation] = f"alter table {where} execute {operation}({listed})"
        return found


@dataclass(frozen=True)
class Files:
    """What a table consists of: the newest snapshot's files; all that is stored."""

    data: int
    deletes: int
    snapshots: int
    objects: int
    size: int


@dataclass(frozen=True)
class Maintained:
    """A table before and after maintenance."""

    table: DbtTable
    before: Files
    after: Files
    problems: tuple[str, ...]


class TableMaintenance:
    """Trino, and the objects of its tables."""

    def __init__(self, env: dict[str, str], silver: str = "silver", **session: str) -> None:
        if not trino_healthy(env):
            raise LakehouseError("Trino does not answer", "`make up` starts it")
        # As dbt, which owns the tables; the source distinguishes these queries from dbt's.
        self._connection = trino.dbapi.connect(
            env["TRINO_HOST"],
            int(env["TRINO_PORT"]),
            user="dbt",
            source="upkeep",
            session_properties=session,
        )
        self._seconds_left: float = MAX_WAIT_SECONDS
        self._lock = FoldLock(self.query, "iceberg", silver, "upkeep")
        self._objects = Minio(
            urlsplit(env["S3_ENDPOINT"]).netloc,
            access_key=env["TRINO_S3_ACCESS_KEY"],
            secret_key=env["TRINO_S3_SECRET_KEY"],
            secure=False,
            region=env["S3_REGION"],
        )

    def query(self, sql: str) -> list[list[Any]]:
        with closing(self._connection.cursor()) as cursor:
            return list(cursor.execute(sql).fetchall())

    def relations(self, tables: list[DbtTable]) -> Iterator[tuple[str, str, str]]:
        """Schema, name and kind of all relations in the schemas of these tables."""
        for database, schema in sorted({(table.database, table.schema) for table in tables}):
            for name, kind in self.query(
                f"select table_name, table_type from {database}.information_schema.tables"  # noqa: S608
                f" where table_schema = '{schema}'"
            ):
                yield schema, name, kind

    def measure(self, table: DbtTable) -> Files:
        [[data, deletes, snapshots, newest]] = self.query(
            "select count_if(content = 0), count_if(content != 0),"  # noqa: S608
            f" (select count(*) from {table.hidden('snapshots')}),"
            f" (select max_by(file, timestamp) from {table.hidden('metadata_log_entries')})"
            f" from {table.hidden('files')}"
        )
        place = urlsplit(newest.rsplit("/metadata/", 1)[0])
        prefix = f"{place.path.lstrip('/')}/"
        sizes = [
            found.size or 0
            for found in self._objects.list_objects(place.netloc, prefix, recursive=True)
        ]
        return Files(data, deletes, snapshots, len(sizes), sum(sizes))

    def is_dbt_busy(self) -> bool:
        [[busy]] = self.query(
            f"{self._lock.mark}select count(*) from system.runtime.queries"  # noqa: S608
            " where source like 'dbt-trino-%'"
            ' and coalesce("end", current_timestamp)'
            f" > current_timestamp - interval '{QUIET_SECONDS}' second"
        )
        return bool(busy)

    def wait_for_dbt(self) -> None:
        """Return once dbt is idle."""
        while self.is_dbt_busy():
            self._wait(POLL_INTERVAL_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._seconds_left -= seconds
        if self._seconds_left < 0:
            raise LakehouseError(
                f"waited {MAX_WAIT_SECONDS // 60} minutes in all for dbt to be idle",
                "leave a pause between two runs of dbt, or run both in one job",
            )
        time.sleep(seconds)

    def rewrite(self, sql: str) -> None:
        """Run a statement that rewrites a table while dbt is idle; retry until it succeeds."""
        while True:
            self.wait_for_dbt()
            with self._lock.attempt() as held:
                try:
                    if held and self.is_done_before_dbt_begins(sql):
                        return
                except TrinoQueryError as error:
                    if error.error_name not in COMMIT_CONFLICTS:
                        raise
            self._wait(QUIET_SECONDS)

    def is_done_before_dbt_begins(self, sql: str) -> bool:
        """Run a statement; cancel it and return False if dbt starts."""
        with closing(self._connection.cursor()) as cursor, ThreadPoolExecutor(1) as pool:
            running = pool.submit(cursor.execute, sql)
            is_cancelled = False
            while wait([running], timeout=POLL_INTERVAL_SECONDS).not_done:
                if self.is_dbt_busy():
                    cursor.cancel()
                    is_cancelled = True
            if not is_cancelled:
                running.result()
            return not is_cancelled


def declared(
    env: dict[str, str], select: str | None = None, variables: str | None = None
) -> list[DbtTable]:
    """The tables that dbt makes, with what their `meta` says."""
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", "ls"]
    command += ["--resource-type", "model", "seed", "snapshot"]
    command += ["--output", "json", "--output-keys", "database", "schema", "alias", "config"]
    command += ["--select", *select.split()] if select else []
    command += ["--vars", variables] if variables else []
    listed = subprocess.run(
        command,
        cwd=REPO / "dbt_project",
        env={**os.environ, **env},
        text=True,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        raise LakehouseError(
            f"dbt cannot list its models: {listed.stdout[-2000:]}", "correct dbt_project/"
        )
    nodes = [json.loads(line) for line in listed.stdout.splitlines() if line.startswith("{")]
    tables = [
        DbtTable(node["database"], node["schema"], node["alias"], upkeep_of(node))
        for node in nodes
        if node["config"]["materialized"] not in {"view", "ephemeral"}
    ]
    return sorted(tables, key=str)


def upkeep_of(node: dict[str, Any]) -> dict[str, Any]:
    """The `upkeep` of a node's `meta`, validated."""
    upkeep = node["config"]["meta"].get("upkeep")
    wrong = set(upkeep) - set(OPERATIONS) if isinstance(upkeep, dict) else {repr(upkeep)}
    if wrong:
        raise LakehouseError(
            f"meta.upkeep of {node['alias']} has {', '.join(sorted(wrong))}",
            f"it names any of {', '.join(OPERATIONS)} (dbt_project.yml)",
        )
    return dict(upkeep)


def maintain(client: TableMaintenance, table: DbtTable) -> Iterator[str]:
    """Run the declared operations; yield a message for each that fails."""
    for operation, sql in table.statements().items():
        try:
            if operation in REWRITES:
                client.rewrite(sql)
            else:
                client.query(sql)
        except (TrinoQueryError, LakehouseError) as error:
            yield f"{table}: {operation}: {reason(error)}"


def reason(error: Exception) -> str:
    return str(error.message if isinstance(error, TrinoQueryError) else error)


def drop_leftovers(client: TableMaintenance, tables: list[DbtTable]) -> Iterator[str]:
    """Drop what interrupted runs of dbt left: relations named ...__dbt_tmp or ...__dbt_backup."""
    client.wait_for_dbt()
    database = {table.schema: table.database for table in tables}
    for schema, name, kind in client.relations(tables):
        if name.endswith(("__dbt_tmp", "__dbt_backup")):
            what = "view" if kind == "VIEW" else "table"
            client.query(f'drop {what} if exists {database[schema]}.{schema}."{name}"')
            yield f"{schema}.{name}"


def report(done: list[Maintained]) -> RichTable:
    """Files of each table, before and after; where nothing changed, one number."""
    grid = RichTable(title="Upkeep", title_justify="left", show_footer=True)
    grid.add_column("table", overflow="fold")
    for heading in ("data files", "delete files", "snapshots", "objects", "size"):
        grid.add_column(heading, justify="right")
    for one in done:
        grid.add_row(str(one.table), *changes(one.before, one.after))
    totals = changes(sum_of(one.before for one in done), sum_of(one.after for one in done))
    for column, footer in zip(grid.columns, ("all", *totals), strict=True):
        column.footer = footer
    return grid


def sum_of(several: Iterable[Files]) -> Files:
    return Files(*map(sum, zip(*map(astuple, several), strict=True)))


def changes(old: Files, new: Files) -> Iterator[str]:
    *counts, sizes = zip(astuple(old), astuple(new), strict=True)
    texts = [*((f"{a:,}", f"{b:,}") for a, b in counts), tuple(map(decimal, sizes))]
    for a, b in texts:
        yield a if a == b else f"{a} → {b}"


def upkeep(client: TableMaintenance, tables: list[DbtTable]) -> Iterator[Maintained]:
    """Keep up those of these tables that dbt has made."""
    there = {(schema, name) for schema, name, kind in client.relations(tables) if kind != "VIEW"}
    for table in tables:
        if (table.schema, table.name) in there:
            before = client.measure(table)
            problems = tuple(maintain(client, table))
            yield Maintained(table, before, client.measure(table), problems)


def run(
    select: Annotated[
        str | None,
        typer.Option(help="Only these tables, in dbt's selection syntax: gold, my_model+."),
    ] = None,
    variables: Annotated[str | None, typer.Option("--vars", help="dbt's --vars.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the statements.")] = False,
) -> None:
    """Compact dbt's tables and drop what is old, as their `meta` says; exit 1 if one failed."""
    env = load_env()
    tables = declared(env, select, variables)
    if dry_run:
        for table in tables:
            for sql in table.statements().values():
                print(f"{sql};")
        return
    prefix = yaml.safe_load(variables or "{}").get("schema_prefix", "")
    client = TableMaintenance(env, f"{prefix}silver")
    done = list(upkeep(client, tables))
    if done:
        out.print(report(done))
    problems = [problem for one in done for problem in one.problems]
    try:
        for name in drop_leftovers(client, tables):
            out.print(f"dropped {name}, which an interrupted run of dbt left")
    except (TrinoQueryError, LakehouseError) as error:
        problems.append(f"leftovers of dbt: {reason(error)}")
    for problem in problems:
        print_error(problem)
    if problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(lambda: typer.run(run), Error, HttpError)
