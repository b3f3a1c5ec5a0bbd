"""The header of a loan file: which column is where, and what separates the fields."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ingestion.source.columns import FILE_COLUMNS
from ingestion.source.csv_file import HINT, BadLineError

_SEPARATORS = [",", ";", "\t", "|"]


@dataclass(frozen=True)
class _BadHeaderError(Exception):
    what: str
    hint: str = HINT


@dataclass(frozen=True)
class Layout:
    """Where the columns of the table are in a line of the file."""

    separator: str
    # The position in the file's line of each of FILE_COLUMNS.
    positions: tuple[int, ...]

    @property
    def in_order(self) -> bool:
        return self.positions == tuple(range(len(FILE_COLUMNS)))

    def column_at(self, position: int) -> str:
        """The name of the file's column at a position, or of its last column."""
        return FILE_COLUMNS[self.positions.index(min(position, len(FILE_COLUMNS) - 1))]


def read_layout(path: Path, lines: Iterator[bytes]) -> tuple[Layout, int]:
    """Read the header; the layout, and how many lines it took.

    A spreadsheet may write ``sep=;`` in a line before it.

    Raises:
        BadLineError: the header is not that of the loan file; it says which column is wrong.
    """
    number, line, separators = 1, _decode(path, 1, next(lines, b"")), _SEPARATORS
    if line.lower().startswith("sep=") and len(line) == len("sep=") + 1:
        separators = [line[-1]]
        number, line = 2, _decode(path, 2, next(lines, b""))
    try:
        separator, names = _best_split(line, separators)
        _check(names)
    except _BadHeaderError as bad:
        raise BadLineError(path, number, bad.what, bad.what, bad.hint) from None
    return Layout(separator, tuple(names.index(name) for name in FILE_COLUMNS)), number


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        what = f"byte 0x{line[error.start]:02x} of the header is not UTF-8"
        raise BadLineError(path, number, what, what) from None


def _best_split(line: str, separators: list[str]) -> tuple[str, list[str]]:
    """The separator by which the line names most of our columns, and the names."""
    splits: dict[str, list[str]] = {}
    failure: csv.Error | None = None
    for separator in separators:
        try:
            names = next(csv.reader([line], delimiter=separator, strict=True), [])
            splits[separator] = [name.strip() for name in names]
        except csv.Error as error:
            failure = failure or error
    if not splits:
        raise _BadHeaderError(f"the header is broken CSV: {failure}")
    return max(splits.items(), key=lambda split: len(set(split[1]) & set(FILE_COLUMNS)))


def _check(names: list[str]) -> None:
    if not set(names) & set(FILE_COLUMNS):
        raise _BadHeaderError(
            f"is not the header: it names none of the {len(FILE_COLUMNS)} columns",
            f"it must name {', '.join(FILE_COLUMNS)}",
        )
    for position, name in enumerate(names, start=1):
        if names.count(name) > 1:
            raise _BadHeaderError(f"the header has the column {_shown(name)} twice")
        if name not in FILE_COLUMNS:
            raise _BadHeaderError(f"column {position} {_what_of(name)}")
    missing = [name for name in FILE_COLUMNS if name not in names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise _BadHeaderError(f"the header lacks the column '{missing[0]}'{more}")


def _what_of(name: str) -> str:
    if not name or name.startswith("Unnamed:"):
        return "has no name: an index that pandas wrote; drop it (to_csv(..., index=False))"
    if close := get_close_matches(name.lower(), FILE_COLUMNS, n=1):
        return f"of the header is {_shown(name)}: it must be '{close[0]}'"
    return f"of the header is {_shown(name)}, which is no column of the loan file: drop it"


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:40] + "…")
