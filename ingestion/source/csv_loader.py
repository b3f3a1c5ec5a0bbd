"""Reads the loan CSV strictly: every error names its line and column.

A line is a physical line: the file quotes no line breaks, so a quote left open
is an error of its own line rather than of the rest of the file. Business values
are let through as far as the table's types and CHECKs allow.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ingestion.errors import DataError
from ingestion.source.columns import FILE_COLUMNS, application_id, created_at

_INTEGER = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")

Parser = Callable[[str], str]


@dataclass(frozen=True)
class BadValueError(Exception):
    """A value that its column's type cannot hold; ``reason`` completes a sentence."""

    reason: str


def integer(low: int, high: int) -> Parser:
    """Parser of whole numbers in ``low..high``; ``22.0`` counts as whole."""

    def parse(text: str) -> str:
        match = _INTEGER.fullmatch(text)
        if match is None:
            raise BadValueError("is not a whole number")
        sign, digits = match.groups()
        # No type of ours has more digits, and Python refuses to read thousands.
        value = int(sign + digits) if len(digits) <= 18 else None
        if value is None or not low <= value <= high:
            raise BadValueError(f"is not between {low} and {high}")
        return str(value)

    return parse


def decimal(precision: int, scale: int) -> Parser:
    """Parser of non-negative decimals that fit ``numeric(precision, scale)`` exactly."""
    limit = Decimal(10) ** (precision - scale)

    def parse(text: str) -> str:
        if _DECIMAL.fullmatch(text) is None:
            raise BadValueError("is not a decimal number")
        value = Decimal(text)
        if not 0 <= value < limit:
            raise BadValueError(f"is not between 0 and {limit}")
        if value != round(value, scale):
            # PostgreSQL would round it without a word.
            raise BadValueError(f"has more than {scale} decimals")
        return text

    return parse


def text(value: str) -> str:
    """Any text; PostgreSQL cannot hold the character NUL."""
    if "\0" in value:
        raise BadValueError("contains the character NUL")
    return value


def yes_or_no(value: str) -> str:
    """Yes or No, spelled so."""
    if value not in ("Yes", "No"):
        raise BadValueError("is neither Yes nor No")
    return value


_COUNT = integer(0, 2**31 - 1)
_MONEY = decimal(12, 2)
_RATE = decimal(5, 2)

PARSERS: dict[str, Parser] = {
    "person_age": _COUNT,
    "person_gender": text,
    "person_education": text,
    "person_income": _MONEY,
    "person_emp_exp": _COUNT,
    "person_home_ownership": text,
    "loan_amnt": _MONEY,
    "loan_intent": text,
    "loan_int_rate": _RATE,
    "loan_percent_income": _RATE,
    "cb_person_cred_hist_length": _COUNT,
    "credit_score": _COUNT,
    "previous_loan_defaults_on_file": yes_or_no,
    "loan_status": integer(0, 1),
}


def read_rows(path: Path) -> Iterator[list[str]]:
    """Yield the file's rows as texts in the order of the table's columns.

    Raises:
        DataError: the file cannot be read, or its first bad line, with the
            line number, the column and the value.
    """
    try:
        with path.open("rb") as file:
            _check_header(path, file.readline())
            empty = True
            for row, line in enumerate(file):
                empty = False
                number = row + 2  # lines count from 1, and the first is the header
                when = created_at(row).isoformat()
                values = _parse_line(path, number, line)
                yield [str(application_id(row)), *values, when, when]
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}", "check the path given to --csv"
        ) from None
    if empty:
        raise DataError(f"{path} holds a header and no rows", _HINT)


_HINT = "nothing was loaded; mend the file and run again"


def _check_header(path: Path, line: bytes) -> None:
    # A byte order mark and quotes are how spreadsheets write the same header.
    decoded = line.decode("utf-8-sig", "replace").rstrip("\r\n")
    try:
        header = next(csv.reader([decoded], strict=True), []) or [""]
    except csv.Error as error:
        raise DataError(f"{path}, line 1: the header is broken CSV: {error}", _HINT) from None
    for position, expected in enumerate(FILE_COLUMNS, start=1):
        found = header[position - 1] if position <= len(header) else None
        if found != expected:
            shown = "nothing" if found is None else repr(found)
            raise DataError(
                f"{path}, line 1: column {position} of the header must be"
                f" '{expected}' but is {shown}",
                _HINT,
            )
    if len(header) > len(FILE_COLUMNS):
        raise DataError(
            f"{path}, line 1: the header has an unknown column"
            f" {header[len(FILE_COLUMNS)]!r} after '{FILE_COLUMNS[-1]}'",
            _HINT,
        )


def _parse_line(path: Path, number: int, line: bytes) -> list[str]:
    values = _split(path, number, line)
    parsed = []
    for column, value in zip(FILE_COLUMNS, values, strict=True):
        if value == "":
            raise DataError(f"{path}, line {number}: column '{column}' is empty", _HINT)
        try:
            parsed.append(PARSERS[column](value))
        except BadValueError as bad:
            shown = value if len(value) <= 40 else value[:40] + "…"
            raise DataError(
                f"{path}, line {number}: column '{column}': {shown!r} {bad.reason}",
                _HINT,
            ) from None
    return parsed


def _split(path: Path, number: int, line: bytes) -> list[str]:
    """The line's fields, exactly one per column."""
    try:
        decoded = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        column = _column_at(line[: error.start].count(b","))
        raise DataError(
            f"{path}, line {number}: column '{column}': byte"
            f" 0x{line[error.start]:02x} is not UTF-8",
            _HINT,
        ) from None
    try:
        values = next(csv.reader([decoded], strict=True), [])
    except csv.Error as error:
        column = _column_at(decoded.count(","))
        raise DataError(
            f"{path}, line {number}: column '{column}' or before it: broken CSV: {error}",
            _HINT,
        ) from None
    if len(values) < len(FILE_COLUMNS):
        raise DataError(
            f"{path}, line {number}: has {len(values)} values, not"
            f" {len(FILE_COLUMNS)}: column '{FILE_COLUMNS[len(values)]}' is missing",
            _HINT,
        )
    if len(values) > len(FILE_COLUMNS):
        raise DataError(
            f"{path}, line {number}: has {len(values)} values, not"
            f" {len(FILE_COLUMNS)}: {values[len(FILE_COLUMNS)]!r} stands after the"
            f" last column '{FILE_COLUMNS[-1]}'",
            _HINT,
        )
    return values


def _column_at(position: int) -> str:
    return FILE_COLUMNS[min(position, len(FILE_COLUMNS) - 1)]
