"""The command line: ``python -m ingestion``.

A command imports what it works with when it runs: together, pyarrow, pydantic, kafka-python
and the rest take a second, which `--help` and every other command would pay for.
"""

# ruff: noqa: PLC0415

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as RichTable
from typer.core import TyperGroup

from ingestion.errors import IngestionError, SettingsError
from ingestion.options import (
    DEFAULT_FILE,
    LIVE_TABLE,
    SEED,
    SIMULATED_SESSIONS,
    TableNames,
    TablesFile,
    duration,
)
from ingestion.progress import err, out
from ingestion.stream.commands import stream_app

if TYPE_CHECKING:
    from ingestion.batch.manifest import Manifest
    from ingestion.reconcile.run import TableResult

EPILOG = """
[bold]Exit codes[/]: 0 done (reconcile: equal); 1 reconcile found differences, or the stream needs
attention; 2 a wrong option, setting or tables file; 3 the data cannot be loaded or landed; 4 a
service cannot be reached or failed; 5 another process holds a lock; 6 a table, column or bucket is
missing; 130 stopped by Ctrl-C.

[bold]Settings[/] (hosts, ports, passwords) come from the environment, then from .env, or from
the file that ENV_FILE names. The tables are configuration: ingestion/tables.yml.
"""


class _Commands(TyperGroup):
    """The commands; Ctrl-C prints a message, where Typer would only exit."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            err.print("stopped; nothing half done is visible")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    name="ingestion",
    help="Copy the source's tables into the lake.",
    epilog=EPILOG,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
)
source_app = typer.Typer(
    help="Fill the source database, and change its rows.",
    no_args_is_help=True,
)
app.add_typer(source_app, name="source")
app.add_typer(stream_app, name="stream")


class BatchMode(StrEnum):
    """What a batch reads."""

    full = "full"
    incremental = "incremental"


Schema = Annotated[str, typer.Option(help="The schema that holds loan_applications.")]


@source_app.command("load")
def source_load(
    csv: Annotated[Path, typer.Option(help="The loan file: loan_data.csv, or its zip or gz.")],
    schema: Schema = "public",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Load nothing; list what is wrong with the file.")
    ] = False,
) -> None:
    """Load the loan file: all of it or, if a line is wrong, nothing."""
    from ingestion.settings import get_settings
    from ingestion.source.csv_loader import LoanFile
    from ingestion.source.csv_report import check_file, report_rounded
    from ingestion.source.load import replace_content, to_chunks

    file = LoanFile(csv)
    if dry_run:
        check_file(file)
        return
    rows = replace_content(get_settings(), to_chunks(file.rows()), schema=schema)
    report_rounded(file)
    out.print(f"loaded {rows:,} rows into {schema}.loan_applications")


@source_app.command("generate")
def source_generate(
    rows: Annotated[int, typer.Option(min=0, help="How many applications to make.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 1,
    schema: Schema = "public",
) -> None:
    """Load generated applications that are distributed like the real file's."""
    from ingestion.settings import get_settings
    from ingestion.source.generator import generate_chunks
    from ingestion.source.load import replace_content

    loaded = replace_content(get_settings(), generate_chunks(rows, seed), schema=schema, total=rows)
    out.print(f"loaded {loaded:,} rows into {schema}.loan_applications")


@source_app.command("simulate")
def source_simulate(  # noqa: PLR0913, PLR0917
    rate: Annotated[float, typer.Option(min=0.01, help="Committed changes a second.")] = 500,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            parser=duration,
            metavar="TIME",
            help="Stop after a time such as 60s, 5m, 1h.",
            show_default="until Ctrl-C",
        ),
    ] = None,
    changes: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many changes.", show_default=False)
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Sessions whose transactions overlap.")
    ] = SIMULATED_SESSIONS,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same choices.")] = SEED,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Wait for PostgreSQL if it is down.")
    ] = False,
    schema: Schema = "public",
) -> None:
    """Change the applications as a loan desk would, in many overlapping transactions.

    New applications, corrections, decisions and withdrawals, in 40, 35, 20 and 5 of
    a hundred changes. Most transactions make one change, one in five up to 20; some
    are rolled back, some stay open for a while. A row changed twice counts as two.
    """
    from ingestion.settings import get_settings
    from ingestion.source.console import run_simulation
    from ingestion.source.simulator import SimulationPlan

    plan = SimulationPlan(rate, seconds, changes, workers, seed, schema, keep_going)
    run_simulation(get_settings(), plan)


@source_app.command("probe")
def source_probe(
    live: Annotated[
        str, typer.Option("--table-in-trino", help="The table or view to look at.")
    ] = LIVE_TABLE,
    times: Annotated[int, typer.Option(min=1, help="Changes to make, one after another.")] = 3,
    timeout: Annotated[float, typer.Option(min=1, help="Timeout of a change in seconds.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    schema: Schema = "public",
) -> None:
    """Measure freshness: seconds from a commit in the source until Trino shows it.

    Each time, the updated_at of one application moves; nothing else changes.
    """
    from ingestion.settings import get_settings
    from ingestion.source.console import print_probes
    from ingestion.source.probe import probe

    found = probe(get_settings(), live, schema=schema, times=times, timeout=timeout)
    print_probes(found, live, as_json=as_json)


@app.command()
def batch(  # noqa: PLR0913, PLR0917
    table: TableNames = None,
    mode: Annotated[
        BatchMode, typer.Option(help="All rows, or those changed since.")
    ] = BatchMode.full,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="CURSOR", help="Incremental: read again from this value"),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="CURSOR", help="up to this value, exclusive.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Connections that read at a time.")
    ] = min(4, os.cpu_count() or 1),
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """Land one consistent snapshot of the source's tables in bronze.

    A batch that is killed leaves nothing visible: a snapshot exists once its
    manifest has landed, which comes last. Run it again.

    Incremental reads the rows whose cursor is at or after the last snapshot's,
    less the overlap in the tables file. It cannot see deletes, nor changes of a
    transaction that lasted longer than the overlap, nor changes that did not move
    the row's cursor; a full batch sees them all. A table that has no earlier
    snapshot, or was truncated or rewritten since, is read in full.

    With --from and --to it reads that range of the cursor again, as it is now, and does
    not move the start of the next incremental batch.
    """
    from ingestion.batch.cursor import CursorInterval
    from ingestion.batch.run import run_batch
    from ingestion.settings import get_settings
    from ingestion.tables import load_tables

    if (begin is None) != (end is None) or (begin and mode is BatchMode.full):
        raise SettingsError("--from and --to go together, and with --mode incremental")
    interval = CursorInterval(begin, end) if begin and end else None
    tables = load_tables(tables_file)
    selected = tables.select(table or [])
    for manifest in run_batch(get_settings(), tables, selected, mode.value, workers, interval):
        _report_landed(manifest)


def _report_landed(manifest: "Manifest") -> None:
    out.print(
        f"landed {manifest.table_name} {manifest.snapshot_id} ({manifest.mode}):"
        f" {manifest.row_count:,} rows, {decimal(manifest.byte_count)},"
        f" parts: {len(manifest.parts)}",
        soft_wrap=True,
    )


@app.command()
def snapshots(
    table: TableNames = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, newest first.")] = 20,
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """List the snapshots that have landed, newest first."""
    from ingestion.batch.manifest import manifest_keys, read_manifest
    from ingestion.settings import get_settings
    from ingestion.storage import Bronze
    from ingestion.tables import load_tables

    names = {t.name for t in load_tables(tables_file).select(table or [])}
    bronze = Bronze(get_settings())
    keys = [k for k in manifest_keys(bronze) if k.rsplit("/", 1)[1].split("+")[0] in names]
    keys.sort(key=lambda key: key.rsplit("+", 1)[1], reverse=True)
    grid = RichTable(title="Landed snapshots")
    for heading in ("table", "snapshot", "mode"):
        grid.add_column(heading, no_wrap=True)
    for heading in ("rows", "size", "parts"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for key in keys[:limit]:
        manifest = read_manifest(bronze, key)
        grid.add_row(
            manifest.table_name,
            manifest.snapshot_id,
            manifest.mode,
            f"{manifest.row_count:,}",
            decimal(manifest.byte_count),
            str(len(manifest.parts)),
        )
    out.print(grid)


@app.command()
def verify(table: TableNames = None, tables_file: TablesFile = DEFAULT_FILE) -> None:
    """Check that each table's newest snapshot is complete and visible in Trino."""
    from ingestion.batch.verify import verify_newest
    from ingestion.settings import get_settings
    from ingestion.tables import load_tables

    tables = load_tables(tables_file)
    for one in tables.select(table or []):
        manifest = verify_newest(get_settings(), tables, one)
        out.print(f"{one.name}: {manifest.snapshot_id} is complete: {manifest.row_count:,} rows")


@app.command("bronze-tables")
def bronze_tables(table: TableNames = None, tables_file: TablesFile = DEFAULT_FILE) -> None:
    """Create Trino's tables over bronze; run it again when columns change."""
    from ingestion.bronze_tables import ensure_tables
    from ingestion.settings import get_settings
    from ingestion.tables import load_tables

    tables = load_tables(tables_file)
    for ensured in ensure_tables(get_settings(), tables, tables.select(table or [])):
        out.print(f"{ensured.table}: {ensured.action}")


@app.command()
def reconcile(
    table: TableNames = None,
    limit: Annotated[int, typer.Option(min=1, help="Differences to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Leave out rows that changed since dbt ran; for a source in use."
        ),
    ] = False,
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """Prove that silver plus rejected equals the source; exit 1 if not.

    With --live, rows whose change has landed by the stream and waits for the next run of
    dbt are counted and not compared; every other row must be equal.
    """
    from ingestion.reconcile.run import reconcile_table
    from ingestion.settings import get_settings
    from ingestion.tables import CHANGES_SUFFIX, load_tables

    tables = load_tables(tables_file)
    selected = tables.select(table or [])
    if not table:  # of all tables, those that can be
        selected = tuple(t for t in selected if t.reconcile) or selected
    settings = get_settings()
    changes = f"{tables.bronze_schema}.{{}}{CHANGES_SUFFIX}" if live else ""
    results = [
        reconcile_table(settings, one, limit, changes.format(one.name) or None) for one in selected
    ]
    if as_json:
        out.print_json(json.dumps([{"equal": r.equal, **asdict(r)} for r in results]))
    else:
        for result in results:
            _print_result(result)
    strict = {t.name for t in selected if t.reconcile and t.reconcile.stale_keys == "error"}
    if not all(r.equal and not (r.stale and r.table in strict) for r in results):
        raise typer.Exit(1)


def _print_result(result: "TableResult") -> None:
    grid = RichTable("column", "source", "silver", "", title=f"{result.table}: checksums")
    grid.add_row(
        "(rows)",
        f"{result.source_rows:,}",
        f"{result.silver_rows:,}",
        _mark(result.source_rows == result.silver_rows),
    )
    for column in result.columns:
        grid.add_row(column.column, f"{column.source:x}", f"{column.silver:x}", _mark(column.equal))
    out.print(grid)
    if result.differences:
        found = RichTable("key", "column", "source", "silver", "", title="First differences")
        for d in result.differences:
            shown = (d.key, d.column, _value(d.source, d.column), _value(d.silver, d.column))
            found.add_row(*map(escape, shown), d.problem)
        out.print(found)
    if result.in_both:
        out.print(f"both in silver and rejected: {escape('; '.join(result.in_both))}")
    if result.stale:
        first = ", ".join(map(escape, result.stale[:10]))
        out.print(
            f"not compared, because their newest values cannot be read: {len(result.stale):,} rows,"
            f" the first: {first} (silver.unreadable_changes says why)"
        )
    if result.not_compared:
        columns = escape(", ".join(result.not_compared))
        out.print(f"columns not compared, because silver lacks them: {columns}")
    if result.left_out is not None:
        out.print(f"not compared, because they changed since dbt ran: {result.left_out:,} rows")
    verdict = "equal" if result.equal else "NOT equal"
    out.print(f"{result.table}: source and silver are {verdict}")


def _mark(equal: bool) -> str:
    return "[green]equal" if equal else "[red]differs"


def _value(text: str | None, column: str) -> str:
    if not column:
        return ""
    return "NULL" if text is None else text


def main() -> None:
    """Run the command line; an expected failure is one line and an exit code."""
    try:
        app()
    except IngestionError as error:
        err.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            err.print(f"[bold]next:[/] {escape(error.hint)}", soft_wrap=True)
        sys.exit(error.exit_code)
