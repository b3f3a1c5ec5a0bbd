"""Runs a batch: snapshot, slices, workers, parts, manifest."""

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from ingestion.batch.cursor import CursorInterval, CursorRange, cursor_range
from ingestion.batch.job import Job
from ingestion.batch.manifest import (
    FOLDER,
    LandedColumn,
    LandedPart,
    Manifest,
    Mode,
    land_manifest,
    newest_manifest,
)
from ingestion.batch.plan import Slice, full_slices
from ingestion.batch.read import open_reader
from ingestion.batch.snapshot import OpenSnapshot, Snapshot, open_snapshot
from ingestion.batch.stop import Stop
from ingestion.batch.write import Part, PartNames, PartWriter
from ingestion.catalog import Leaf, estimated_rows, read_columns, read_leaves
from ingestion.column_types import Column
from ingestion.errors import DataError, SettingsError
from ingestion.progress import RowCounter, err, row_progress
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.tables import Table, Tables


@dataclass(frozen=True)
class ReadPlan:
    """How one table is read; ``rows`` is an estimate, if there is one."""

    mode: Mode
    columns: tuple[Column, ...]
    slices: list[Slice]
    cursor: CursorRange
    storage: tuple[int, ...]
    rows: int | None


def run_batch(  # noqa: PLR0913, PLR0917
    settings: Settings,
    tables: Tables,
    selected: Sequence[Table],
    mode: Mode,
    workers: int,
    interval: CursorInterval | None = None,
) -> list[Manifest]:
    """Land one snapshot of the selected tables; return their manifests.

    All tables are read in the same snapshot, and none becomes visible before all
    of them are landed. A table that has no cursor or no earlier snapshot, or was
    truncated since, is read in full in either mode: that is always correct, only
    slower. An incremental batch of an ``interval`` reads that range again, and does not
    advance the cursor.

    Raises:
        LockedError: another loader is landing one of the tables.
        DataError: a value cannot be landed, or the source's clock or WAL went back.
            Nothing became visible.
        ServiceError, MissingError, SettingsError: see the message.
    """
    bronze = Bronze(settings, connections=workers + 2)
    with open_snapshot(settings, selected) as held:
        _check_day(held.snapshot, tables.first_day)
        newest = {table.name: newest_manifest(bronze, table.name) for table in selected}
        _check_follows(held.snapshot, newest)
        landed = []
        for table in selected:
            plan = _plan(held, table, mode, newest[table.name], interval)
            job = Job(settings, bronze, held.snapshot, table, plan.columns)
            landed.append((job, plan, _land_parts(job, plan, workers)))
        # Another loader may have begun if the locks were lost.
        held.check_alive()
        manifests = [_manifest(*one) for one in landed]
        for manifest in manifests:
            land_manifest(bronze, manifest)
        return manifests


def _check_day(snapshot: Snapshot, first_day: date) -> None:
    if snapshot.day < first_day:
        raise SettingsError(
            f"the source's clock says {snapshot.day}, before the first day of the"
            f" lake, {first_day}: Trino would not see what lands",
            "correct the clock, or `first_day` in the tables file",
        )


def _check_follows(snapshot: Snapshot, newest: Mapping[str, Manifest | None]) -> None:
    """Refuse a snapshot that is older than a landed one by WAL position or by clock.

    With an older WAL position, silver would keep the older rows; with an older clock, the
    next incremental batch would start from the wrong snapshot.
    """
    for name, last in newest.items():
        if last and not (last.lsn <= snapshot.lsn and last.snapshot_id < snapshot.id):
            raise DataError(
                f"{name}: the source is older than snapshot {last.snapshot_id}: its clock or"
                " its WAL position went back (restored? another server?)",
                "correct the server's clock; for a restored or another server, first have the"
                f" bucket's administrator delete {FOLDER}/dt=*/{name}+*.json, then land in full",
            )


def _plan(
    held: OpenSnapshot,
    table: Table,
    mode: Mode,
    newest: Manifest | None,
    interval: CursorInterval | None,
) -> ReadPlan:
    with held.cursor() as sql:
        columns = read_columns(sql, table)
        leaves = read_leaves(sql, table)
        storage = _storage(leaves)
        previous = None
        if mode == "incremental":
            previous = _previous_cursor(table, newest, storage)
        cursor = cursor_range(sql, table, columns, held.snapshot, previous, interval)
        if cursor.condition is not None:
            changed = Slice(table.source, cursor.condition)
            return ReadPlan("incremental", columns, [changed], cursor, storage, None)
        rows = estimated_rows(sql, leaves)
        return ReadPlan("full", columns, full_slices(leaves), cursor, storage, rows)


def _storage(leaves: Sequence[Leaf]) -> tuple[int, ...]:
    return tuple(sorted(leaf.filenode for leaf in leaves))


def _previous_cursor(table: Table, newest: Manifest | None, storage: tuple[int, ...]) -> str | None:
    """Where the table's last batch ended; None, after printing why, if it must be full."""
    if table.cursor is None:
        err.print(f"{table.name}: has no cursor in the tables file; reading it in full")
        return None
    if newest is None:
        err.print(f"{table.name}: no earlier snapshot; reading it in full")
    elif newest.cursor_column != table.cursor.column or newest.cursor_to is None:
        err.print(
            f"{table.name}: snapshot {newest.snapshot_id} has no cursor on"
            f" {table.cursor.column}; reading it in full"
        )
    elif newest.storage != storage:
        # The cursor shows no deletion, and the new rows may have the same times.
        err.print(
            f"{table.name}: was truncated, rewritten or repartitioned since snapshot"
            f" {newest.snapshot_id}; reading it in full"
        )
    else:
        return newest.cursor_to
    return None


def _land_parts(job: Job, plan: ReadPlan, workers: int) -> list[Part]:
    todo: queue.SimpleQueue[Slice] = queue.SimpleQueue()
    for piece in plan.slices:
        todo.put(piece)
    names = PartNames(job.table, job.snapshot)
    stop = Stop()
    with row_progress(f"{job.table.name} ({plan.mode})", plan.rows) as counter:
        parts = _run_threads(
            min(workers, len(plan.slices)),
            lambda: _read_and_write(job, names, todo, stop, counter),
            stop,
        )
        counter.finish(sum(part.row_count for part in parts))
    return sorted(parts, key=lambda part: part.object)


def _read_and_write(
    job: Job,
    names: PartNames,
    todo: queue.SimpleQueue[Slice],
    stop: Stop,
    counter: RowCounter,
) -> list[Part]:
    """One worker: takes slices until none is left and lands what they hold."""
    writer = PartWriter(job, names)
    with open_reader(job, stop) as reader:
        for piece in _drain(todo):
            if stop.is_set():
                return []
            for batch in reader.batches(piece):
                if stop.is_set():
                    return []
                writer.write(batch)
                counter.add(batch.num_rows)
    writer.close()
    return writer.parts


def _drain(todo: queue.SimpleQueue[Slice]) -> Iterator[Slice]:
    with suppress(queue.Empty):
        while True:
            yield todo.get_nowait()


def _run_threads(threads: int, work: Callable[[], list[Part]], stop: Stop) -> list[Part]:
    """Run ``work`` in each thread; the first failure stops them all and is raised."""
    if threads == 0:  # an empty table
        return []
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work) for _ in range(threads)]
        try:
            return [part for done in as_completed(futures) for part in done.result()]
        except BaseException:  # Ctrl-C too
            stop.set()
            # A statement that began at that moment was not there to be cancelled.
            while wait(futures, timeout=0.5).not_done:
                stop.set()
            raise


def _manifest(job: Job, plan: ReadPlan, parts: Sequence[Part]) -> Manifest:
    snapshot, cursor = job.snapshot, job.table.cursor
    return Manifest(
        snapshot_id=snapshot.id,
        table_name=job.table.name,
        mode=plan.mode,
        lsn=snapshot.lsn,
        xmin=snapshot.xmin,
        xmax=snapshot.xmax,
        xip=snapshot.xip,
        taken_at=snapshot.taken_at.isoformat(timespec="microseconds"),
        landed_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        cursor_column=cursor.column if cursor else None,
        cursor_from=plan.cursor.start,
        cursor_to=plan.cursor.end,
        row_count=sum(part.row_count for part in parts),
        byte_count=sum(part.byte_count for part in parts),
        storage=plan.storage,
        parts=tuple(LandedPart(**asdict(part)) for part in parts),
        schema=tuple(
            LandedColumn(name=c.name, source_type=c.source_type, type=c.type.trino)
            for c in plan.columns
        ),
    )
