"""The command line of the stream: ``python -m ingestion stream``.

A command imports what it works with when it runs (see ingestion/cli.py).
"""

# ruff: noqa: PLC0415

import json
import signal
import threading
import time
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as RichTable

from ingestion.errors import MissingError
from ingestion.options import DEFAULT_FILE, TableNames, TablesFile
from ingestion.progress import err, out

if TYPE_CHECKING:
    from ingestion.stream.dead_letters import DeadLetter, Kept

stream_app = typer.Typer(
    help="Follow the source's changes, and land each of them once.",
    no_args_is_help=True,
)

_CAPTURED = {
    "added": "captured from now on: land a full batch to load the existing rows",
    "present": "captured already",
    "dropped": "no longer captured: it is not in the tables file",
}


@stream_app.command("capture")
def stream_capture(
    table: TableNames = None,
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """Capture the changes of the configured tables, from now on; repeat it after a new table.

    Adding a table locks it against writes; the command waits a few seconds at most for
    running writers. Load the existing rows with a full batch afterwards.
    """
    from ingestion.settings import get_settings
    from ingestion.stream.capture import capture
    from ingestion.tables import load_tables

    settings, tables = get_settings(), load_tables(tables_file)
    for captured in capture(settings, tables, tables.select(table or [])):
        out.print(f"{captured.table}: {_CAPTURED[captured.action]}")


@stream_app.command("consume")
def stream_consume(
    number: Annotated[
        int,
        typer.Option(min=1, help="The consumer's number in its group; each process has its own."),
    ] = 1,
    skip_lost: Annotated[
        bool,
        typer.Option("--skip-lost", help="Skip records that Kafka deleted before they landed."),
    ] = False,
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """Run one consumer of the group: land changes until it is stopped.

    It may be killed at any time: restarted, it continues where it stopped, and nothing
    lands twice. On SIGTERM or Ctrl-C it lands what it has read, and exits.
    """
    from ingestion.settings import get_settings
    from ingestion.stream.member import Member, consume
    from ingestion.tables import load_tables

    member = Member(get_settings(), load_tables(tables_file).tables, number, skip_lost)
    stop = threading.Event()

    def on_signal(which: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(which, signal.SIG_DFL)  # who sends a second one means it

    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, on_signal)

    def report(text: str) -> None:
        line = f"{datetime.now():%H:%M:%S} consumer {number}: {text}"
        err.print(line, markup=False, highlight=False, soft_wrap=True)

    consume(member, report, stop)


@stream_app.command("status")
def stream_status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """Show the stream's status; exit 1 if something needs attention.

    Lag counts Kafka's offsets, of which each transaction uses one more than it has records.
    Rows landed are the total of the topic; objects and rows a minute are of the last minute.
    """
    from ingestion.settings import get_settings
    from ingestion.stream import status_view
    from ingestion.stream.status import read_status
    from ingestion.tables import load_tables

    status = read_status(get_settings(), load_tables(tables_file).tables)
    if as_json:
        out.print_json(json.dumps(status_view.as_json(status)))
    else:
        for shown in status_view.as_tables(status):
            out.print(shown)
        for problem in status.problems:
            out.print(f"[red]problem:[/] {escape(problem.message)}", soft_wrap=True)
            out.print(f"   [bold]next:[/] {escape(problem.hint)}", soft_wrap=True)
        if not status.problems:
            out.print("no problems")
    if status.problems:
        raise typer.Exit(1)


@stream_app.command("reset-slot")
def stream_reset_slot(
    force: Annotated[bool, typer.Option("--force", help="Also replace a slot that works.")] = False,
) -> None:
    """Replace a lost replication slot; Debezium continues from now.

    PostgreSQL invalidates a slot whose retained WAL exceeds max_slot_wal_keep_size.
    Changes that were not read by then never arrive by the stream: land a full batch
    afterwards, which contains their effect.
    """
    from ingestion.settings import get_settings
    from ingestion.stream.reset_slot import reset_slot

    with err.status("looking at the slot") as shown:
        reset_slot(get_settings(), shown.update, force=force)
    out.print("Debezium reads on; now: python -m ingestion batch --mode full")


@stream_app.command("wait")
def stream_wait(
    timeout: Annotated[float, typer.Option(min=0, help="Timeout in seconds.")] = 120,
    tables_file: TablesFile = DEFAULT_FILE,
) -> None:
    """Wait until everything that the source has committed by now has landed in bronze."""
    from ingestion.settings import get_settings
    from ingestion.stream.wait import wait_until_landed
    from ingestion.tables import load_tables

    settings, tables = get_settings(), load_tables(tables_file).tables
    begun = time.monotonic()
    with err.status("waits") as shown:
        wait_until_landed(settings, tables, timeout, lambda text: shown.update(escape(text)))
    out.print(f"all that was committed has landed ({time.monotonic() - begun:.1f} s)")


@stream_app.command("dead-letters")
def dead_letters(
    show: Annotated[
        str,
        typer.Option(metavar="POSITION", help="Show one record in full: topic/partition/offset."),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many to list, newest last.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List the records that could not be read, newest day last."""
    from ingestion.settings import get_settings
    from ingestion.storage import Bronze
    from ingestion.stream.dead_letters import kept_letters, read_letter

    settings = get_settings()
    bronze = Bronze(settings)
    kept = kept_letters(settings, bronze)
    if show:
        out.print_json(json.dumps(_whole(read_letter(bronze, _find(kept, show).key))))
        return
    listed = [(one, read_letter(bronze, one.key)) for one in kept[-limit:]]
    if as_json:
        out.print_json(json.dumps([_brief(*one) for one in listed]))
        return
    grid = RichTable("position", "time (UTC)", "reason", "size", "replayed")
    for one, letter in listed:
        brief = _brief(one, letter)
        grid.add_row(
            brief["position"],
            brief["time"],
            escape(letter.reason),
            decimal(brief["bytes"]),
            "yes" if one.is_replayed else "",
        )
    grid.title = f"Dead letters: {len(kept):,}"
    out.print(grid)


@stream_app.command("replay")
def stream_replay(
    position: Annotated[
        list[str] | None,
        typer.Argument(help="Which ones (topic/partition/offset). [default: all]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what it would send.")
    ] = False,
) -> None:
    """Send dead letters to their topics again, once they can be read.

    Run it after correcting the cause. Records that still cannot be read stay where they
    are, and none is sent twice.
    """
    from ingestion.settings import get_settings
    from ingestion.storage import Bronze
    from ingestion.stream.dead_letters import kept_letters, replay

    settings = get_settings()
    bronze = Bronze(settings)
    kept = kept_letters(settings, bronze)
    chosen = [_find(kept, one) for one in position] if position else kept
    sent = unreadable = 0
    for letter, problem in replay(settings, bronze, chosen, dry_run=dry_run):
        if problem is None:
            sent += 1
            out.print(f"{'would replay' if dry_run else 'replayed'} {letter.position}")
        else:
            unreadable += 1
            out.print(f"{letter.position} still cannot be read: {escape(problem)}", soft_wrap=True)
    out.print(f"{'to replay' if dry_run else 'replayed'}: {sent:,}, unreadable: {unreadable:,}")


def _find(kept: "list[Kept]", position: str) -> "Kept":
    for one in kept:
        if one.position == position:
            return one
    raise MissingError(
        f"there is no dead letter {position!r}",
        "`python -m ingestion stream dead-letters` lists them",
    )


def _brief(one: "Kept", letter: "DeadLetter") -> dict[str, Any]:
    from ingestion.stream.object_keys import utc

    return {
        "position": letter.position,
        "time": utc(letter.timestamp).isoformat(sep=" ", timespec="seconds"),
        "reason": letter.reason,
        "bytes": len(letter.key or b"") + len(letter.value or b""),
        "replayed": one.is_replayed,
    }


def _whole(letter: "DeadLetter") -> dict[str, object]:
    """All fields; bytes decoded as text."""
    from ingestion.stream.object_keys import utc

    return {
        "position": letter.position,
        "topic_id": letter.topic_id,
        "time": utc(letter.timestamp).isoformat(sep=" ", timespec="milliseconds"),
        "reason": letter.reason,
        "key": _text(letter.key),
        "value": _text(letter.value),
        "headers": {name: _text(value) for name, value in letter.headers},
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
