"""Options that several commands share, and defaults that the help shows.

Nothing heavy is imported here: `--help` needs no more than this.
"""

import re
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_FILE = Path(__file__).with_name("tables.yml")
LIVE_TABLE = "iceberg.silver.loan_applications_live"
SIMULATED_SESSIONS = 8
SEED = 1

TablesFile = Annotated[
    Path,
    typer.Option(help="The tables file.", envvar="INGESTION_TABLES_FILE", show_default=False),
]
TableNames = Annotated[
    list[str] | None,
    typer.Option("--table", help="A table's name; repeat for several. [default: all]"),
]

_UNITS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """The seconds of a text such as ``60s``, ``5m`` or ``1.5h``.

    Raises:
        typer.BadParameter: it is something else.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text)
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is not like 60s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]
