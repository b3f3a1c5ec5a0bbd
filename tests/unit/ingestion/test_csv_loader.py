"""The loan file is read strictly, and each error names its line and column."""

import gzip
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.errors import DataError
from ingestion.source.columns import FILE_COLUMNS, ROWS_PER_CYCLE, created_at
from ingestion.source.csv_file import BadLineError
from ingestion.source.csv_loader import LoanFile, read_rows
from ingestion.source.csv_values import PARSERS, BadValueError, Rounded

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
        ("", "line 1: is not the header: it names none of the 14 columns"),
        (GOOD, "line 1: is not the header: it names none of the 14 columns"),
        (HEADER[:-12], "line 1: the header lacks the column 'loan_status'"),
        (HEADER[:-43], "line 1: the header lacks the column 'previous_loan_defaults_on_file' and"),
        (HEADER + ",extra", "column 15 of the header is 'extra', which is no column of the loan"),
        (HEADER + ",loan_status", "the header has the column 'loan_status' twice"),
        (HEADER.replace("gender", "Gender"), "column 2 of the header is 'person_Gender': it must"),
        (f",{HEADER}\n0,{GOOD}", "column 1 has no name: an index that pandas wrote; drop it"),
        (f"Unnamed: 0,{HEADER}\n0,{GOOD}", "column 1 has no name: an index that pandas wrote"),
        (f"application_id,{HEADER}\n0,{GOOD}", "column 1 of the header is 'application_id', whi"),
        ('"' + HEADER, "line 1: the header is broken CSV: unexpected end"),
        ("x" * 200_000, "line 1: the header is broken CSV: field larger"),
        (HEADER + "\n", "holds a header and no rows"),
        (f"{HEADER}\n{GOOD}\n\n{GOOD}\n", "line 3: is blank"),
        (f"{HEADER}\n{GOOD}\n{',' * 13}\n", "line 3: the whole line is empty"),
        (
            f"{HEADER}\n{GOOD.replace('71948.0', chr(34) + '71,948.00' + chr(34))}\n",
            "'71,948.00' has ',' between thousands: write it without",
        ),
        (
            f"{HEADER}\n{GOOD.replace('71948.0', 'inf')}\n",
            "'person_income': 'inf' is not a decimal",
        ),
        (f"{HEADER}\n{GOOD.replace('71948.0', '7.1948e14')}\n", "'7.1948e14' is not between 0 an"),
        (f"{HEADER}\n{GOOD.replace('71948.0', '1e999')}\n", "'1e999' is not between 0 an"),
        (f"{HEADER}\n{GOOD[:-2]}\n", "line 2: has 13 values, not 14: column 'loan_status'"),
        (f"{HEADER}\n{GOOD},9\n", "line 2: has 15 values, not 14: '9' follows"),
        (f"{HEADER}\n{GOOD.replace('RENT', '')}\n", "line 2: column 'person_home_ownership' is"),
        (f"{HEADER}\n{GOOD.replace('22.0', '22.5')}\n", "column 'person_age': '22.5' is not a wh"),
        (f"{HEADER}\n{GOOD.replace('22.0', '-1')}\n", "column 'person_age': '-1' is not between"),
        (f"{HEADER}\n{GOOD.replace('561', '9' * 5000)}\n", "9…' is not between 0 and 2147483647"),
        (f"{HEADER}\n{GOOD.replace('561', '2147483648')}\n", "'credit_score': '2147483648' is no"),
        (f"{HEADER}\n{GOOD.replace('0.49', '0.495')}\n", "'loan_percent_income': '0.495' has mor"),
        (f"{HEADER}\n{GOOD.replace('16.02', '1000')}\n", "column 'loan_int_rate': '1000' is not b"),
        (f"{HEADER}\n{GOOD.replace('16.02', 'nan')}\n", "column 'loan_int_rate': 'nan' is not a"),
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


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
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


@example("1e-9", "loan_amnt")
@given(st.text(), st.sampled_from(["person_age", "loan_amnt", "loan_status"]))
def test_a_number_is_a_number_or_a_bad_value(text: str, column: str) -> None:
    """Nothing else is raised, and what passes is what PostgreSQL reads the same way.

    But for float noise, which is rounded off.
    """
    try:
        parsed = PARSERS[column](text)
    except BadValueError:
        return
    assert parsed.isascii()
    difference = abs(Decimal(parsed) - Decimal(text))
    if isinstance(parsed, Rounded):
        assert 0 < difference <= Decimal("1e-9") * max(Decimal(1), abs(Decimal(parsed)))
    else:
        assert difference == 0


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_no_two_rows_have_the_same_time(one: int, other: int) -> None:
    assert (created_at(one) == created_at(other)) == (one == other)


def test_a_cycle_returns_one_microsecond_later() -> None:
    assert created_at(ROWS_PER_CYCLE) == datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


ROW = ["22", "female", "Master", "71948.0", "0", "RENT", "35000.0", "PERSONAL"]
ROW += ["16.02", "0.49", "3", "561", "No", "1"]


def values(tmp_path: Path, content: str | bytes, name: str = "loans.csv") -> list[list[str]]:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [row[1:15] for row in read_rows(file)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_and_line_ends_of_spreadsheets_load(
    tmp_path: Path, encoding: str, end: str
) -> None:
    content = f"{HEADER}{end}{GOOD}{end}{GOOD}{end}"
    assert values(tmp_path, content.encode(encoding)) == [ROW, ROW]


def test_a_zip_and_a_gz_load_as_they_are(tmp_path: Path) -> None:
    content = f"{HEADER}\n{GOOD}\n"
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("loan_data.csv", content)
        archive.writestr("__MACOSX/loan_data.csv", "")
    assert [row[1:15] for row in read_rows(tmp_path / "archive.zip")] == [ROW]
    assert values(tmp_path, gzip.compress(content.encode()), "loan_data.csv.gz") == [ROW]


def test_a_zip_of_several_files_names_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("train.csv", HEADER)
        archive.writestr("test.csv", HEADER)
    with pytest.raises(DataError, match=r"2 CSV files, not one \(train.csv, test.csv\)"):
        list(read_rows(tmp_path / "archive.zip"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(f"{HEADER}\n{GOOD}\n".encode())[:-9], "is a damaged archive"),
        (b"PK\x03\x04nonsense", "is a damaged archive"),
        (b"PAR1\x15\x04", "is a Parquet file, not CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is an old Excel workbook, not CSV"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "is not a text file"),
        (b"\xff\xfe" + b"\x00\xd8" * 9, "begins like UTF-16 and is not"),
    ],
)
def test_a_binary_file_is_refused_by_its_format(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    with pytest.raises(DataError) as failure:
        values(tmp_path, content)
    assert complaint in failure.value.message
    assert len(failure.value.message) <= 200 + len(str(tmp_path))


def test_a_german_spreadsheet_loads(tmp_path: Path) -> None:
    header = HEADER.replace(",", ";")
    row = "22,0;female;Master;71948,0;0;RENT;35000,0;PERSONAL;16,02;0,49;3,0;561;No;1"
    assert values(tmp_path, f"\ufeff{header}\r\n{row}\r\n") == [ROW]


def test_a_german_thousands_point_is_refused(tmp_path: Path) -> None:
    header, row = HEADER.replace(",", ";"), GOOD.replace(",", ";").replace("71948.0", "71.948,00")
    with pytest.raises(DataError, match=r"'71.948,00' has '.' between thousands"):
        values(tmp_path, f"{header}\n{row}\n")


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_a_line_that_names_the_separator_is_understood(tmp_path: Path, separator: str) -> None:
    content = f"{HEADER}\n{GOOD}\n".replace(",", separator)
    assert values(tmp_path, f"sep={separator}\n{content}") == [ROW]


@given(st.permutations(range(14)), st.sampled_from([",", ";", "\t"]), st.booleans())
def test_columns_load_by_name_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], separator: str, spaced: bool
) -> None:
    blank = " " if spaced else ""
    header = separator.join(blank + FILE_COLUMNS[i] + blank for i in order)
    row = separator.join(GOOD.split(",")[i] for i in order)
    assert values(tmp_path_factory.mktemp("order"), f"{header}\n{row}\n") == [ROW]


@pytest.mark.parametrize("tail", ["\n", "   \n", "\n\n\n", "\x1a", "\r\n\t\r\n"])
def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path, tail: str) -> None:
    assert values(tmp_path, f"{HEADER}\n{GOOD}\n{tail}") == [ROW]


def test_categories_stay_as_they_are_written(tmp_path: Path) -> None:
    odd = GOOD.replace("RENT", " Rent ").replace(",No,", ",N,").replace("PERSONAL", "NA")
    [row] = values(tmp_path, f"{HEADER}\n{odd}\n")
    assert (row[5], row[7], row[12]) == (" Rent ", "NA", "N")


@pytest.mark.parametrize(
    ("column", "written", "loaded"),
    [
        ("person_income", "7.1948e4", "71948"),
        ("person_income", "1E+05", "100000"),
        ("loan_percent_income", ".5", "0.5"),
        ("loan_percent_income", "0.49000000000000005", "0.49"),
        ("person_income", "71947.999999999985", "71948.00"),
        ("person_age", "2.2e1", "22"),
        ("person_age", "21.999999999999996", "22"),
    ],
)
def test_numbers_load_as_programs_write_them(column: str, written: str, loaded: str) -> None:
    assert PARSERS[column](written) == loaded


@given(st.decimals(0, Decimal("9999999999.99"), places=2))
def test_an_amount_that_went_through_a_float_is_the_same_amount(value: Decimal) -> None:
    assert Decimal(PARSERS["loan_amnt"](repr(float(value)))) == value
    assert Decimal(PARSERS["loan_amnt"](f"{value:e}")) == value


def test_what_was_rounded_is_counted(tmp_path: Path) -> None:
    noisy = GOOD.replace("0.49", "0.49000000000000005")
    (tmp_path / "loans.csv").write_text(f"{HEADER}\n{noisy}\n{GOOD}\n{noisy}\n")
    file = LoanFile(tmp_path / "loans.csv")
    assert len(list(file.rows())) == 3
    assert file.rounded == {"loan_percent_income": 2}


def test_all_bad_lines_can_be_had_at_once(tmp_path: Path) -> None:
    bad = [GOOD.replace("22.0", "old"), GOOD.replace("561", ""), GOOD.replace("22.0", "young")]
    (tmp_path / "loans.csv").write_text("\n".join([HEADER, bad[0], GOOD, *bad[1:], ""]))
    found = [
        one for one in LoanFile(tmp_path / "loans.csv").lines() if isinstance(one, BadLineError)
    ]
    assert [one.message.split("loans.csv, ")[1] for one in found] == [
        "line 2: column 'person_age': 'old' is not a whole number",
        "line 4: column 'credit_score' is empty",
        "line 5: column 'person_age': 'young' is not a whole number",
    ]
    assert found[0].reason == found[2].reason == "column 'person_age' is not a whole number"


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{GOOD.replace('561', chr(27) + '[31m' + '9' * 500)}\n",
        f"{HEADER},{chr(27)}[31m{'x' * 500}\n{GOOD}\n",
    ],
)
def test_a_message_is_one_short_line_without_control_characters(
    tmp_path: Path, content: str
) -> None:
    folder = tmp_path / ("d" * 200)
    folder.mkdir()
    with pytest.raises(DataError) as failure:
        values(folder, content)
    assert len(failure.value.message) <= 200
    assert failure.value.message.isprintable()
