"""`dbt build`: wall time, statements by kind, and what dbt itself takes."""

import os
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trino

from infra.paths import REPO
from tests.bench import stream
from tests.bench.measure import Row, measure
from tests.stack import ingest

ROWS = 45_000
REPEATS = 3  # the best of them counts: the machine's other work only ever adds
DBT = str(Path(sys.executable).with_name("dbt"))
BUILD = [DBT, "build", "--quiet"]
SILVER = [*BUILD, "--select", "+silver", "--exclude-resource-type", "unit_test"]
THREADS = (2, 3, 4)

STATEMENTS = """
select query, created, "end"
from system.runtime.queries
where created >= ? and source like 'dbt-trino-%' and state = 'FINISHED'
"""
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)  # dbt's, with the node's id
KINDS = {
    "contracts and columns": re.compile(r"limit 0\s*;?\s*$|information_schema\.columns", re.I),
    "relations, schemas, comments": re.compile(
        r"information_schema|system\.metadata|create schema", re.I
    ),
    "tests": re.compile(r"\bfailures,", re.I),
    "views": re.compile(r"^\s*(create or replace|drop) view", re.I),
    "tables": re.compile(r"^\W*(--.*\s+)*(create|merge|insert)", re.I),
}
OTHER = "what macros ask"


@dataclass(frozen=True)
class Build:
    """One run of dbt: wall seconds, and the statements that it sent to Trino."""

    seconds: float
    statements: list[tuple[str, datetime, datetime]]

    def by_kind(self) -> list[Row]:
        """Statements by kind: how many, and milliseconds."""
        spent: dict[str, list[float]] = defaultdict(list)
        for query, began, ended in self.statements:
            spent[kind_of(query)].append((ended - began).total_seconds() * 1000)
        return [
            {
                "kind": kind,
                "statements": len(each),
                "ms_each": sum(each) / len(each),
                "ms_in_all": sum(each),
            }
            for kind, each in sorted(spent.items(), key=lambda item: -sum(item[1]))
        ]

    def row(self, name: str) -> Row:
        in_trino = covered([(began, ended) for _, began, ended in self.statements])
        return {
            "run": name,
            "seconds": self.seconds,
            "statements": len(self.statements),
            "Trino_at_work_seconds": in_trino,
            "dbt_alone_seconds": self.seconds - in_trino,
        }


def kind_of(query: str) -> str:
    statement = COMMENT.sub("", query)
    return next((kind for kind, pattern in KINDS.items() if pattern.search(statement)), OTHER)


def covered(spans: list[tuple[datetime, datetime]]) -> float:
    """The seconds in which at least one of the spans lasted."""
    seconds, reached = 0.0, datetime.min
    for began, ended in sorted((b.replace(tzinfo=None), e.replace(tzinfo=None)) for b, e in spans):
        seconds += max(0.0, (ended - max(began, reached)).total_seconds())
        reached = max(reached, ended)
    return seconds


def run(command: list[str]) -> Build:
    host, port = os.environ["TRINO_HOST"], int(os.environ["TRINO_PORT"])
    cursor = trino.dbapi.connect(host, port, user="admin").cursor()
    [[began]] = cursor.execute("select current_timestamp").fetchall()
    seconds = measure(command, str(REPO / "dbt_project")).seconds
    return Build(seconds, [tuple(row) for row in cursor.execute(STATEMENTS, [began]).fetchall()])


def after_changes(command: list[str], repeats: int = REPEATS) -> Build:
    """The best run of several; before each, stream.CHANGES rows have changed."""
    builds = []
    for _ in range(repeats):
        stream.change(stream.CHANGES)
        ingest("stream", "wait")
        builds.append(run(command))
    return min(builds, key=lambda build: build.seconds)


def measure_dbt() -> dict[str, list[Row]]:
    """Tables by title."""
    ingest("source", "generate", "--rows", str(ROWS))
    ingest("stream", "capture")
    ingest("batch")
    ingest("bronze-tables")
    first = run(BUILD)
    changed = after_changes(BUILD)
    threads: list[Row] = [
        {
            "threads": number,
            "seconds": after_changes([*BUILD, "--threads", str(number)], repeats=2).seconds,
        }
        for number in THREADS
    ]
    changes = f"{stream.CHANGES:,} changes"
    return {
        f"dbt build, {ROWS:,} applications": [
            first.row("the first build"),
            changed.row(f"with {changes}"),
            after_changes(SILVER).row(f"silver only, with {changes}"),
        ],
        f"statements of the first build, {ROWS:,} applications": first.by_kind(),
        f"statements of a build with {changes}": changed.by_kind(),
        f"a build with {changes}, by threads": threads,
    }
