"""A command loads what it works with, and nothing that another one needs."""

import subprocess
import sys

import pytest

# Each takes a tenth of a second or more, which every call would pay for.
SLOW_IMPORTS = {"boto3", "botocore", "kafka", "numpy", "pandas", "psycopg2", "pyarrow", "trino"}


def loaded(statement: str) -> set[str]:
    """The top-level modules that a new process has imported after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], text=True, check=True, capture_output=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["stream", "--help"], ["batch", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    run = f"""
sys.argv = ["ingestion", *{arguments}]
from ingestion.cli import main
sys.stdout = open("/dev/null", "w")
try:
    main()
except SystemExit as ended:
    assert not ended.code
sys.stdout = sys.__stdout__
"""
    modules = loaded(run)
    assert {"typer", "ingestion"} <= modules
    assert modules & SLOW_IMPORTS == set()


def test_batch_loads_neither_pandas_nor_what_the_stream_needs() -> None:
    modules = loaded("import ingestion.batch.run")
    assert {"pyarrow", "botocore"} <= modules
    assert modules & {"boto3", "kafka", "pandas", "trino"} == set()
