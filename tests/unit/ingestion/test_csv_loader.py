"""The loan file is read strictly, and each error names its line and column."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import DataError
from ingestion.source.columns import FILE_COLUMNS, ROWS_PER_CYCLE, created_at
from ingestion.source.csv_loader import PARSERS, BadValueError, read_rows

HEADER = ",".join(FILE_COLUMNS)
GOOD = "22.0,female,Master,71948.0,0,RENT,35000.0,PERSONAL,16.02,0.49,3.0,561,No,1"


def read(tmp_path: Path, content: str | bytes) -> list[list[str]]:
    file = tmp_path / "loans.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_rows(file))


def test_a_row_gets_its_key_and_times(tmp_path: Path) -> None:
    rows = read(tmp_path, f"{HEADER}\n{GOOD}\n{GOOD}\n")
    assert rows[1] == (
        ["2", "22", "female", "Master", "71948.0", "0", "RENT", "35000.0", "PERSONAL"]
        + ["16.02", "0.49", "3", "561", "No", "1"]
        + ["2024-01-01T00:11:40+00:00"] * 2
    )


def test_odd_business_values_pass(tmp_path: Path) -> None:
    """They belong in the lake, which has rules for them."""
    odd = "144.0,x,,9999999999.99,125,Ünïcode 😀,0,P,999.99,999.99,3,9999,Yes,0"
    (row,) = read(tmp_path, f"{HEADER}\r\n{odd.replace(',,', ',Ph.D.,')}\r\n")
    assert row[1:4] == ["144", "x", "Ph.D."]
    assert row[6] == "Ünïcode 😀"


def test_a_quoted_comma_is_part_of_the_value(tmp_path: Path) -> None:
    quoted = GOOD.replace("PERSONAL", '"A ""good"", big loan"')
    (row,) = read(tmp_path, f"{HEADER}\n{quoted}")
    assert row[8] == 'A "good", big loan'


@pytest.mark.parametrize(
    "header",
    [
        "\ufeff" + HEADER,
        HEADER.replace("person_age", '"person_age"'),
        "\ufeff" + ",".join(f'"{name}"' for name in FILE_COLUMNS) + "\r",
    ],
)
def test_a_header_may_be_quoted_and_have_a_byte_order_mark(tmp_path: Path, header: str) -> None:
    (row,) = read(tmp_path, f"{header}\n{GOOD}\n")
    assert row[1] == "22"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: column 1 of the header must be 'person_age' but is ''"),
        (GOOD, "line 1: column 1 of the header must be 'person_age' but is '22.0'"),
        (HEADER[:-12], "line 1: column 14 of the header must be 'loan_status' but is nothing"),
        (HEADER + ",extra", "unknown column 'extra' after 'loan_status'"),
        (HEADER.upper(), "column 1 of the header"),
        ('"' + HEADER, "line 1: the header is broken CSV: unexpected end"),
        ("x" * 200_000, "line 1: the header is broken CSV: field larger"),
        (HEADER + "\n", "holds a header and no rows"),
        (f"{HEADER}\n{GOOD}\n\n{GOOD}\n", "line 3: has 0 values"),
        (f"{HEADER}\n{GOOD[:-2]}\n", "line 2: has 13 values, not 14: column 'loan_status'"),
        (f"{HEADER}\n{GOOD},9\n", "line 2: has 15 values, not 14: '9' stands after"),
        (f"{HEADER}\n{GOOD.replace('RENT', '')}\n", "line 2: column 'person_home_ownership' is"),
        (f"{HEADER}\n{GOOD.replace('22.0', '22.5')}\n", "column 'person_age': '22.5' is not a wh"),
        (f"{HEADER}\n{GOOD.replace('22.0', '-1')}\n", "column 'person_age': '-1' is not between"),
        (f"{HEADER}\n{GOOD.replace('561', '9' * 5000)}\n", "9…' is not between 0 and 2147483647"),
        (f"{HEADER}\n{GOOD.replace('561', '2147483648')}\n", "'credit_score': '2147483648' is no"),
        (f"{HEADER}\n{GOOD.replace('0.49', '0.495')}\n", "'loan_percent_income': '0.495' has mor"),
        (f"{HEADER}\n{GOOD.replace('16.02', '1000')}\n", "column 'loan_int_rate': '1000' is not b"),
        (f"{HEADER}\n{GOOD.replace('16.02', 'nan')}\n", "column 'loan_int_rate': 'nan' is not a"),
        (f"{HEADER}\n{GOOD.replace(',No,', ',no,')}\n", "'no' is neither Yes nor No"),
        (f"{HEADER}\n{GOOD.replace('RENT', 'R' + chr(0))}\n", "contains the character NUL"),
        (f"{HEADER}\n{GOOD.replace('RENT', chr(34) + 'RENT')}\n{GOOD}\n", "line 2: column"),
        (f"{HEADER}\n{GOOD}\n".encode() + b"22.0,f\xff", "line 3: column 'person_gender': byte"),
    ],
)
def test_a_bad_file_is_one_error_with_its_place(
    tmp_path: Path, content: str | bytes, complaint: str
) -> None:
    with pytest.raises(DataError) as failure:
        read(tmp_path, content)
    assert complaint in failure.value.message
    assert "\n" not in failure.value.message


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        list(read_rows(tmp_path / "nothing.csv"))


@given(st.integers(0, 2**31 - 1), st.sampled_from(["", ".", ".0", ".000"]))
def test_whole_numbers_pass_however_they_are_written(value: int, tail: str) -> None:
    assert PARSERS["person_age"](f"{value}{tail}") == str(value)


def test_leading_zeros_do_not_count() -> None:
    assert PARSERS["person_age"]("0" * 5000 + "22.0") == "22"


@given(st.decimals(0, Decimal("9999999999.99"), places=2))
def test_amounts_pass_unchanged(value: Decimal) -> None:
    assert Decimal(PARSERS["loan_amnt"](str(value))) == value


@given(st.text(), st.sampled_from(["person_age", "loan_amnt", "loan_status"]))
def test_a_number_is_a_number_or_a_bad_value(text: str, column: str) -> None:
    """Nothing else is raised, and what passes is what PostgreSQL reads the same way."""
    try:
        parsed = PARSERS[column](text)
    except BadValueError:
        return
    assert parsed.isascii()
    assert Decimal(parsed) == Decimal(text)


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_no_two_rows_have_the_same_time(one: int, other: int) -> None:
    assert (created_at(one) == created_at(other)) == (one == other)


def test_a_cycle_returns_one_microsecond_later() -> None:
    assert created_at(ROWS_PER_CYCLE) == datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
