"""The source database: loaded from the file or generated, all or nothing."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.errors import LockedError, MissingError
from ingestion.source.columns import FILE_COLUMNS
from ingestion.source.csv_loader import read_rows
from ingestion.source.generator import generate_chunks
from ingestion.source.load import replace_content, to_chunks
from tests.integration.changes import eventually

HEADER = ",".join(FILE_COLUMNS)
GOOD = "144.0,female,Master,71948.0,0,RENT,35000.0,PERSONAL,16.02,0.49,3.0,561,No,1"


def write(path: Path, *lines: str | bytes) -> Path:
    encoded = (line if isinstance(line, bytes) else line.encode() for line in lines)
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def load(corner: Any, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "ingestion", "source", "load"),
            *("--csv", str(file), "--schema", corner.schema, *options),
        ],
        env=corner.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_file_is_loaded_with_the_key_and_times_of_its_order(corner: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "loans.csv", HEADER, *[GOOD] * 3)
    done = load(corner, file)
    assert done.returncode == 0, done.stderr
    assert "3 rows" in done.stdout
    rows = corner.sql(f"SELECT * FROM {corner.schema}.loan_applications ORDER BY 1")
    first = datetime(2024, 1, 1, tzinfo=UTC)
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        (i + 1, first + timedelta(seconds=700 * i), first + timedelta(seconds=700 * i))
        for i in range(3)
    ]
    money, share = Decimal("71948.00"), Decimal("16.02")
    assert rows[0][1:6] == (144, "female", "Master", money, 0)
    assert rows[0][9] == share


def test_a_quoted_carriage_return_is_part_of_the_value(corner: Any, tmp_path: Path) -> None:
    odd = GOOD.replace("RENT", '"RE\rNT"')
    assert load(corner, write(tmp_path / "loans.csv", HEADER, odd)).returncode == 0
    assert corner.sql(f"SELECT person_home_ownership FROM {corner.schema}.loan_applications") == [
        ("RE\rNT",)
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (GOOD.replace("561", "good"), "line 3: column 'credit_score': 'good'"),
        (GOOD.replace(",1", ",2"), "line 3: column 'loan_status': '2'"),
        (GOOD[:-2], "line 3: has 13 values, not 14: column 'loan_status' is missing"),
        (GOOD.encode().replace(b"RENT", b"R\xe9NT"), "line 3: column 'person_home_ownership'"),
    ],
)
def test_a_bad_line_leaves_the_old_rows(
    corner: Any, tmp_path: Path, line: str | bytes, complaint: str
) -> None:
    assert load(corner, write(tmp_path / "good.csv", HEADER, GOOD)).returncode == 0
    done = load(corner, write(tmp_path / "bad.csv", HEADER, GOOD, line, GOOD))
    assert done.returncode == 3
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert corner.sql(f"SELECT count(*) FROM {corner.schema}.loan_applications") == [(1,)]


def test_odd_categories_load_as_written(corner: Any, tmp_path: Path) -> None:
    """The lake's rules decide over them, row by row."""
    odd = GOOD.replace("RENT", " Rent ").replace(",No,", ",N,")
    assert load(corner, write(tmp_path / "loans.csv", HEADER, odd)).returncode == 0
    assert corner.sql(
        "SELECT person_home_ownership, previous_loan_defaults_on_file"
        f" FROM {corner.schema}.loan_applications"
    ) == [(" Rent ", "N")]


def test_a_dry_run_lists_the_bad_lines_and_loads_nothing(corner: Any, tmp_path: Path) -> None:
    assert load(corner, write(tmp_path / "good.csv", HEADER, GOOD)).returncode == 0
    bad = [GOOD.replace("561", "good"), GOOD.replace("561", "")]
    file = write(tmp_path / "bad.csv", HEADER, GOOD, *bad * 15, GOOD)
    done = load(corner, file, "--dry-run")
    assert done.returncode == 3
    assert done.stdout.count("bad.csv, line ") == 20
    assert "15 x column 'credit_score' is not a whole number" in done.stdout
    assert "30 of 32 lines cannot be loaded" in done.stderr
    assert corner.sql(f"SELECT count(*) FROM {corner.schema}.loan_applications") == [(1,)]

    done = load(corner, write(tmp_path / "good.csv", HEADER, GOOD, GOOD), "--dry-run")
    assert (done.returncode, done.stdout) == (0, "2 rows can be loaded\n")
    assert corner.sql(f"SELECT count(*) FROM {corner.schema}.loan_applications") == [(1,)]


def test_a_bad_line_far_down_a_file_leaves_the_old_rows(corner: Any, tmp_path: Path) -> None:
    """The first rows are with PostgreSQL already when the bad one is met."""
    assert load(corner, write(tmp_path / "good.csv", HEADER, GOOD)).returncode == 0
    done = load(corner, write(tmp_path / "bad.csv", HEADER, *[GOOD] * 50_000, GOOD + ","))
    assert done.returncode == 3
    assert "line 50002" in done.stderr
    assert corner.sql(f"SELECT count(*) FROM {corner.schema}.loan_applications") == [(1,)]


@pytest.mark.parametrize(
    "seconds_per_chunk",
    # It waits for the thread that makes the rows, or for the server to store them.
    [0.05, 0],
    ids=["rows", "server"],
)
def test_ctrl_c_while_loading_is_no_failure_of_the_service(
    corner: Any, administrator: Any, seconds_per_chunk: float
) -> None:
    replace_content(corner.settings, generate_chunks(1, 1), schema=corner.schema)
    command = [sys.executable, "-c", ENDLESS.format(seconds_per_chunk)]
    command += ["source", "generate", "--rows", "9", "--schema", corner.schema]
    with subprocess.Popen(
        command, env=corner.environment(), stderr=subprocess.PIPE, text=True
    ) as loader:
        try:
            wait_for_copy(administrator.cursor())
            loader.send_signal(signal.SIGINT)
            _, printed = loader.communicate(timeout=120)
        finally:
            loader.kill()  # if it still runs, it would never end
    assert printed == "stopped; nothing half done is visible\n"
    assert loader.returncode == 130
    assert corner.sql(f"SELECT count(*) FROM {corner.schema}.loan_applications") == [(1,)]


ENDLESS = """
import itertools, time
from ingestion import cli
from ingestion.source import generator
from ingestion.source.load import CsvChunk
generate_chunks = generator.generate_chunks
def forever(*_):
    lines = bytes(next(generate_chunks(1000, 1)).data).decode().splitlines()
    rests = [line.split(",", 1)[1] for line in lines]
    for block in itertools.count():
        time.sleep({0})
        rows = [f"{{block * 1000 + i}},{{rest}}" for i, rest in enumerate(rests)]
        yield CsvChunk(1000, "\\n".join([*rows, ""]).encode())
generator.generate_chunks = forever
cli.main()
"""


def wait_for_copy(cursor: Any) -> None:
    """Wait until a COPY has stored some rows."""

    def has_begun() -> Any:
        cursor.execute("SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 5000")
        return cursor.fetchone()

    eventually(has_begun, "a COPY has stored rows")


def test_generated_rows_depend_on_the_seed_alone(corner: Any) -> None:
    def digest(rows: int, seed: int) -> Any:
        replace_content(corner.settings, generate_chunks(rows, seed), schema=corner.schema)
        return corner.sql(
            f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY application_id))"
            f" FROM {corner.schema}.loan_applications AS t WHERE application_id <= 1000"
        )

    assert digest(1000, seed=1) == digest(70_000, seed=1)
    assert digest(1000, seed=1) != digest(1000, seed=2)


def test_a_reader_of_the_table_is_waited_for_and_then_named(
    corner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "loans.csv", HEADER, GOOD)
    replace_content(corner.settings, to_chunks(read_rows(rows)), schema=corner.schema)
    monkeypatch.setitem(
        __import__("ingestion.postgres").postgres.SESSION_SETTINGS, "lock_timeout", "200ms"
    )
    reader = corner.connect()
    reader.cursor().execute("SELECT * FROM loan_applications")
    with pytest.raises(LockedError):
        replace_content(corner.settings, to_chunks(read_rows(rows)), schema=corner.schema)
    reader.close()


def test_a_missing_schema_is_an_error(corner: Any) -> None:
    with pytest.raises(MissingError, match="schema nowhere does not exist"):
        replace_content(corner.settings, generate_chunks(1, 1), schema="nowhere")
