"""`make bench`: how fast, compared with what, in one run on this machine.

Prints tables and writes bench.json. ROWS="45000 1000000" chooses the sizes,
PARTS="dbt stream" what is measured. Runs on a stack of its own. Other work on the
machine falsifies the figures.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from infra.native import stack
from infra.paths import REPO
from infra.provision import environment
from ingestion.batch.manifest import newest_manifest
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from tests.bench import dbt, features, online, pipelines, serving, start, stream
from tests.bench.measure import Measured, Row, measure
from tests.stack import native, own_stack

SIZES = [int(rows) for rows in (os.environ.get("ROWS") or "45000 1000000 10000000").split()]
BIN = Path(sys.executable).parent
OF_WHICH = "  of which snapshot to manifest"
REPEATS = 3  # the best of them counts: the machine's other work only ever adds

console = Console(highlight=False, width=100)


def landing(rows: int) -> dict[str, Measured]:
    """Land one table of that size in every way there is, one after the other."""
    console.print(f"[dim]filling the source with {rows:,} rows[/]")
    ingestion = [str(BIN / "python"), "-m", "ingestion"]
    measure([*ingestion, "source", "generate", "--rows", str(rows)])
    env = environment()
    copy = [f"{env['POSTGRES_BIN']}/psql", "-Xqc", "copy loan_applications to stdout"]
    copy += ["-h", env["POSTGRES_HOST"], "-p", env["POSTGRES_PORT"]]
    copy += ["-U", env["SOURCE_READER_USER"], "-d", env["SOURCE_DB"]]
    dlt = [str(REPO / ".venv-bench/bin/python"), str(REPO / "tests/bench/land_with_dlt.py")]
    ways = {
        "bare COPY > /dev/null": copy,
        "ingestion batch": [*ingestion, "batch"],
        "dlt, connectorx": [*dlt, "connectorx"],
        "dlt, pyarrow": [*dlt, "pyarrow"],
    }
    # The first read after a load also sets the rows' hint bits: do not measure it.
    measure(copy, PGPASSWORD=env["SOURCE_READER_PASSWORD"])
    best: dict[str, Measured] = {}
    for _ in range(REPEATS if rows <= 1_000_000 else 1):
        for name, command in ways.items():
            console.print(f"[dim]  {name}[/]")
            once = measure(
                command,
                PGPASSWORD=env["SOURCE_READER_PASSWORD"],
                RUNTIME__DLTHUB_TELEMETRY="false",
            )
            keep_best(best, name, once)
            if name == "ingestion batch":
                keep_best(best, OF_WHICH, Measured(snapshot_to_manifest(), once.peak_mb))
    return best


def keep_best(best: dict[str, Measured], name: str, once: Measured) -> None:
    if name not in best or once.seconds < best[name].seconds:
        best[name] = once


def snapshot_to_manifest() -> float:
    """The seconds that the newest landing took, without Python's own start."""
    manifest = newest_manifest(Bronze(get_settings()), "loan_applications")
    assert manifest
    times = (manifest.taken_at, manifest.landed_at)
    taken, landed = (datetime.fromisoformat(str(time)) for time in times)
    return (landed - taken).total_seconds()


def landing_table(rows: int, best: dict[str, Measured]) -> list[dict[str, object]]:
    table = Table(title=f"Landing {rows:,} rows", title_justify="left")
    for column in ("", "seconds", "rows/s", "of COPY", "ours is faster", "peak MB"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    copy, ours = best["bare COPY > /dev/null"], best["ingestion batch"]
    result: list[dict[str, object]] = []
    for name, way in best.items():
        table.add_row(
            name,
            f"{way.seconds:.2f}",
            f"{rows / way.seconds:,.0f}",
            f"{copy.seconds / way.seconds:.2f}",
            f"{way.seconds / ours.seconds:.1f} times",
            f"{way.peak_mb:,.0f}",
        )
        result.append({"rows": rows, "way": name, "seconds": way.seconds, "peak_mb": way.peak_mb})
    console.print(table)
    return result


def dbt_tables() -> dict[str, list[Row]]:
    tables = dbt.measure_dbt()
    for title, rows in tables.items():
        print_rows(title, rows)
    return tables


def stream_table() -> list[Row]:
    """Measure how fast the stream lands, and print it."""
    stream.prepare()
    landed = stream.landing()
    ours = cast(float, landed[1]["events_per_second"])
    table = Table(title=f"The stream, {stream.EVENTS:,} changes", title_justify="left")
    for column in ("one process", "events/s", "ours is"):
        table.add_column(column, justify="left" if column == "one process" else "right")
    for row in landed:
        rate = cast(float, row["events_per_second"])
        table.add_row(str(row["way"]), f"{rate:,.0f}", f"{ours / rate:.2f} of it")
    console.print(table)
    return landed


def freshness_table() -> list[Row]:
    stream.prepare()
    fresh = stream.freshness()
    print_rows("From commit to visible in silver.loan_applications_live", fresh)
    return fresh


def streaming_tables() -> dict[str, list[Row]]:
    tables = {}
    for title, rows in online.measure_online():
        print_rows(title, rows)
        tables[title] = rows
    return tables


def history_table() -> list[Row]:
    stream.prepare()
    silver = stream.silver_by_history()
    print_rows(f"Folding {stream.CHANGES:,} changes into silver (dbt run)", silver)
    return silver


def pipelines_table() -> list[Row]:
    measured = pipelines.measure_pipelines()
    print_rows(f"{pipelines.ROWS:,} rows, {stream.CHANGES:,} of them changed", measured)
    return measured


def print_rows(title: str, rows: list[Row]) -> None:
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        words = isinstance(rows[0][column], str)
        table.add_column(column.replace("_", " "), justify="left" if words else "right")
    for row in rows:
        table.add_row(*map(as_text, row.values()))
    console.print(table)


def as_text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def feature_tables() -> dict[str, list[Row]]:
    tables = features.measure_features()
    for title, rows in tables.items():
        print_rows(f"Features: {title}", rows)
    return tables


def start_table() -> list[Row]:
    measured = start.measure_start()
    print_rows("Start, with the programs in the cache", measured)
    return measured


def serving_table() -> list[Row]:
    measured = serving.measure_serving()
    print_rows("Decisions over HTTP", measured)
    return measured


PARTS: dict[str, Callable[[dict[str, str]], object]] = {
    "landing": lambda _: [row for rows in SIZES for row in landing_table(rows, landing(rows))],
    "dbt": lambda _: dbt_tables(),
    "stream": lambda _: stream_table(),
    "freshness": lambda _: freshness_table(),
    "streaming": lambda _: streaming_tables(),
    "history": lambda _: history_table(),
    "pipelines": lambda _: pipelines_table(),
    "features": lambda _: feature_tables(),
    "serving": lambda _: serving_table(),
    "start": lambda _: start_table(),
}


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser("make bench", description=__doc__, formatter_class=style).parse_args()
    results: dict[str, object] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    parts = (os.environ.get("PARTS") or " ".join(PARTS)).split()
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"error: no such part: {', '.join(unknown)}\n  -> PARTS is of {' '.join(PARTS)}")
    startup: dict[str, float] = {}
    with own_stack(".lakehouse-bench") as env:
        native("down")
        began = time.monotonic()
        startup = stack.up(environment())
        startup["all, in parallel"] = time.monotonic() - began
        results["startup_seconds"] = startup
        for part in parts:
            results[part] = PARTS[part](env)
    table = Table("service", "seconds", title="make up, programs cached", title_justify="left")
    for name, seconds in startup.items():
        table.add_row(name, f"{seconds:.1f}")
    console.print(table)
    (REPO / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    console.print("written: bench.json")


if __name__ == "__main__":
    main()
