"""Reads the loan CSV: what is unambiguous loads, and every error names its line and column."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.errors import DataError
from ingestion.source.columns import FILE_COLUMNS, application_id, created_at
from ingestion.source.csv_file import HINT, BadLineError, read_lines
from ingestion.source.csv_header import Layout, read_layout
from ingestion.source.csv_values import (
    NUMBERS,
    PARSERS,
    BadValueError,
    Rounded,
    with_decimal_comma,
)


@dataclass
class LoanFile:
    """A loan file, read once from its start to its end."""

    path: Path
    # Values whose float noise was rounded off so far, by column.
    rounded: Counter[str] = field(default_factory=Counter)

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows as texts in the order of the table's columns.

        Raises:
            DataError: the file cannot be read, or its first bad line, with the
                line number, the column and the value.
        """
        row = -1
        for row, values in enumerate(self.lines()):
            if isinstance(values, BadLineError):
                raise values
            when = created_at(row).isoformat()
            yield [str(application_id(row)), *values, when, when]
        if row < 0:
            raise DataError(f"{self.path} holds a header and no rows", HINT)

    def lines(self) -> Iterator[list[str] | BadLineError]:
        """Yield each line's values, in the order of FILE_COLUMNS, or what is wrong with it.

        Blank lines at the end are no lines.
        """
        lines = read_lines(self.path)
        layout, header_lines = read_layout(self.path, lines)
        parser = _LineParser(self, layout)
        blank: list[int] = []
        for number, line in enumerate(lines, start=header_lines + 1):
            if not line.strip(b" \t\x1a"):
                blank.append(number)
                continue
            for position in blank:
                yield BadLineError(self.path, position, "is blank", "is blank")
            blank.clear()
            try:
                yield parser.parse(number, line)
            except BadLineError as bad:
                yield bad


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield a file's rows: see LoanFile.rows."""
    return LoanFile(path).rows()


class _LineParser:
    """From a line of bytes to values in the order of FILE_COLUMNS."""

    def __init__(self, file: LoanFile, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._parsers = dict(PARSERS)
        if layout.separator != ",":
            self._parsers |= {name: with_decimal_comma(PARSERS[name]) for name in NUMBERS}

    def parse(self, number: int, line: bytes) -> list[str]:
        fields = self._split(number, line)
        if not self._layout.in_order:
            fields = [fields[position] for position in self._layout.positions]
        values = []
        for column, value in zip(FILE_COLUMNS, fields, strict=True):
            if value == "":
                raise self._bad(number, f"column '{column}'", "is empty")
            try:
                parsed = self._parsers[column](value)
            except BadValueError as bad:
                shown = value if len(value) <= 40 else value[:40] + "…"
                where = f"column '{column}': {shown!r}"
                raise self._bad(number, where, bad.reason, f"column '{column}'") from None
            if isinstance(parsed, Rounded):
                self._file.rounded[column] += 1
            values.append(parsed)
        return values

    def _split(self, number: int, line: bytes) -> list[str]:
        """The line's fields, exactly one per column, in the order of the file."""
        separator = self._layout.separator
        try:
            decoded = line.decode()
        except UnicodeDecodeError as error:
            column = self._layout.column_at(line[: error.start].count(separator.encode()))
            byte = f"byte 0x{line[error.start]:02x}"
            where = f"column '{column}': {byte}"
            raise self._bad(number, where, "is not UTF-8", "a byte") from None
        if not decoded.strip(separator + ' "\t'):
            raise self._bad(number, "the whole line", "is empty")
        try:
            fields = next(csv.reader([decoded], delimiter=separator, strict=True), [])
        except csv.Error as error:
            column = self._layout.column_at(decoded.count(separator))
            where = f"column '{column}' or before it"
            raise self._bad(number, where, f": broken CSV: {error}", "a field") from None
        if len(fields) == len(FILE_COLUMNS):
            return fields
        count = f"has {len(fields)} values, not {len(FILE_COLUMNS)}"
        if len(fields) < len(FILE_COLUMNS):
            what = f"{count}: column '{self._layout.column_at(len(fields))}' is missing"
        else:
            extra = fields[len(FILE_COLUMNS)]
            last = self._layout.column_at(len(FILE_COLUMNS) - 1)
            what = f"{count}: {extra[:40]!r} follows the last column '{last}'"
        raise BadLineError(self._file.path, number, what, count)

    def _bad(self, number: int, where: str, reason: str, kind: str = "") -> BadLineError:
        joined = f"{where}{reason}" if reason.startswith(":") else f"{where} {reason}"
        return BadLineError(self._file.path, number, joined, f"{kind or where} {reason}")
