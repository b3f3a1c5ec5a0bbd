"""The stream's status for people, and for scripts."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as RichTable

from ingestion.stream.connect import RUNNING, Worker
from ingestion.stream.offsets import ConsumerGroup, Position
from ingestion.stream.recent_objects import RecentObjects
from ingestion.stream.slot import Slot
from ingestion.stream.status import Status


def as_tables(status: Status) -> list[RenderableType]:
    """The tables to print; they fit 100 columns."""
    shown: list[RenderableType] = [_source(status.slot, status.workers or [])]
    by_topic: dict[str, list[Position]] = {}
    for position in status.positions or []:
        by_topic.setdefault(position.topic, []).append(position)
    for topic, positions in by_topic.items():
        landed = (status.landed or {}).get(topic, {})
        shown.append(_topic(topic, positions, landed, status.group))
    if status.waiting_letters is not None:
        shown.append(f"dead letters waiting: {status.waiting_letters:,}")
    return shown


def _source(slot: Slot | None, workers: list[Worker]) -> RichTable:
    grid = RichTable("what", "state", "", title="From the source to Kafka")
    for worker in workers:
        grid.add_row(
            escape(worker.name),
            _state(worker.state, worker.state == RUNNING),
            escape(worker.reason),
        )
    if slot is not None:
        state = "lost" if slot.is_lost else "active" if slot.is_active else "inactive"
        sizes = f"lag {_size(slot.lag_bytes)}, retained WAL {_size(slot.retained_bytes)}"
        grid.add_row(
            f"slot {escape(slot.name)}",
            _state(state, state == "active"),
            f"{sizes} ({slot.wal_status})",
        )
    return grid


def _topic(
    topic: str,
    positions: list[Position],
    landed: dict[int, RecentObjects],
    group: ConsumerGroup | None,
) -> RichTable:
    grid = RichTable(title=f"From {topic} to bronze (times in UTC)")
    for heading in ("partition", "rows landed", "lag", "objects/min", "rows/min"):
        grid.add_column(heading, justify="right")
    for heading in ("newest object", "consumer"):
        grid.add_column(heading)
    for position in positions:
        recent = landed.get(position.partition)
        reader = group.reader(topic, position.partition) if group else None
        grid.add_row(
            str(position.partition),
            f"{position.rows:,}",
            f"{position.lag:,}",
            f"{recent.objects:,}" if recent else "0",
            f"{recent.rows:,}" if recent else "0",
            f"{recent.newest:%m-%d %H:%M:%S}" if recent else "",
            escape(reader) if reader else _state("none", False),
        )
    return grid


def as_json(status: Status) -> dict[str, Any]:
    """All fields, and ``ok``: whether there is no problem."""
    whole = asdict(status)
    for one, position in zip(whole["positions"] or [], status.positions or [], strict=True):
        one["lag"] = position.lag
    return {"ok": not status.problems, **_plain(whole)}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _state(text: str, is_good: bool) -> str:
    return f"[{'green' if is_good else 'red'}]{escape(text)}"


def _size(size: int | None) -> str:
    return "unknown" if size is None else decimal(size)
