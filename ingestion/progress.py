"""Progress bars on stderr, so that stdout stays clean for results."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

# In a pipe nothing may be cut off; a terminal knows its own width.
out = Console(width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True)


class RowsPerSecond(ProgressColumn):
    """Rows done and their rate, over the whole task."""

    def render(self, task: Task) -> Text:
        """The column's text, such as ``45,000 rows  512,345 rows/s``."""
        seconds = task.finished_time or task.elapsed or 0.0
        rate = task.completed / seconds if seconds else 0.0
        return Text(f"{task.completed:,.0f} rows  {rate:,.0f} rows/s", "cyan")


@contextmanager
def row_progress(title: str, total: int | None) -> Iterator["RowCounter"]:
    """Show a bar that counts rows; ``total`` may be an estimate or None."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        RowsPerSecond(),
        TimeElapsedColumn(),
    )
    # A log file wants lines, not a repainted bar.
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield RowCounter(progress, progress.add_task(title, total=total))


class RowCounter:
    """The handle by which work reports its rows; safe to call from any thread."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def add(self, rows: int) -> None:
        """Count ``rows`` more rows."""
        self._progress.advance(self._task, rows)

    def finish(self, rows: int) -> None:
        """Set the true total, which the estimate only guessed."""
        self._progress.update(self._task, total=rows, completed=rows)
