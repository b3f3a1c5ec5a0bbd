"""What a loan desk does: kinds of changes, their mix and values, and their SQL."""

# The relation's name is quoted; the columns are our own.
# ruff: noqa: S608, S311

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ingestion.postgres import quote_identifier
from ingestion.source import distribution as d
from ingestion.source.columns import FILE_COLUMNS, TABLE
from ingestion.source.generator import generate_tables

SourceRow = dict[str, Any]


class Kind(StrEnum):
    """What happens to an application."""

    new = "new"
    correction = "correction"
    decision = "decision"
    withdrawal = "withdrawal"


# Of a hundred changes. More come than go, and most are touched once or twice again.
MIX = {Kind.new: 40, Kind.correction: 35, Kind.decision: 20, Kind.withdrawal: 5}

# Most transactions make one change; one in five makes several.
SEVERAL_SHARE = 0.2
SEVERAL = (2, 20)
MEAN_SIZE = 1 + SEVERAL_SHARE * (sum(SEVERAL) / 2 - 1)
ROLLED_BACK_SHARE = 0.02

# Now and then a session leaves a transaction open, and others overtake it.
PAUSE_INTERVAL_SECONDS = 20
PAUSE_SECONDS = (0.2, 2.0)

# Columns that are corrected together, so that the row stays consistent.
CORRECTED_TOGETHER = (
    ("person_age", "person_emp_exp", "cb_person_cred_hist_length"),
    ("person_income", "loan_amnt", "loan_percent_income"),
    ("person_education",),
    ("person_home_ownership",),
    ("loan_intent",),
    ("loan_int_rate",),
    ("credit_score",),
)
EXAMPLES = 2_000
_UNBOUNDED = 2**62
_SEED_OFFSET = 2**32  # `source generate` uses lower seeds: do not repeat its rows


class Applications:
    """New applications with the next free keys; shared by all sessions."""

    def __init__(self, seed: int, lowest: int, greatest: int) -> None:
        self.lowest = lowest
        self.greatest = greatest
        self._lock = threading.Lock()
        self._rows = _generated_rows(seed + _SEED_OFFSET)
        # Where corrections take their values from.
        self.examples = [next(self._rows) for _ in range(EXAMPLES)]

    def take(self, count: int) -> list[SourceRow]:
        """The next ``count`` applications."""
        with self._lock:
            first = self.greatest + 1
            self.greatest += count
            return [{"application_id": first + i, **next(self._rows)} for i in range(count)]

    def skip_to(self, greatest: int) -> None:
        """Use no key up to ``greatest``: another session has inserted rows."""
        with self._lock:
            self.greatest = max(self.greatest, greatest)


def _generated_rows(seed: int) -> Iterator[SourceRow]:
    for table in generate_tables(_UNBOUNDED, seed):
        # In small portions: a session that waits for one holds up the others.
        for portion in table.select(FILE_COLUMNS).to_batches(max_chunksize=256):
            yield from portion.to_pylist()


@dataclass(frozen=True)
class Transaction:
    """Changes to be made together, a statement for each kind."""

    statements: list[tuple[Kind, list[SourceRow]]]
    rolled_back: bool
    pause: float  # seconds to stay open after the first statement


class ChangePlanner:
    """What one session does next: the same for the same seed and number."""

    def __init__(
        self, applications: Applications, seed: int, number: int, pause_share: float = 0
    ) -> None:
        self._applications = applications
        self._random = random.Random(f"{seed}/{number}")
        self._pause_share = pause_share

    def size(self) -> int:
        """How many changes the next transaction would like to make."""
        several = self._random.random() < SEVERAL_SHARE
        return self._random.randint(*SEVERAL) if several else 1

    def transaction(self, size: int) -> Transaction:
        """The next transaction, of ``size`` changes."""
        choose = self._random
        if self._applications.greatest < self._applications.lowest:  # none there yet
            kinds = Counter({Kind.new: size})
        else:
            kinds = Counter(choose.choices(list(MIX), list(MIX.values()), k=size))
        # A clerk works through neighbouring applications, so a transaction may well
        # change the same one twice.
        near = self._somewhere(size)
        return Transaction(
            [(kind, self._rows(kind, kinds[kind], near, size)) for kind in MIX if kinds[kind]],
            rolled_back=choose.random() < ROLLED_BACK_SHARE,
            pause=choose.uniform(*PAUSE_SECONDS) if choose.random() < self._pause_share else 0,
        )

    def _somewhere(self, size: int) -> int:
        lowest, greatest = self._applications.lowest, self._applications.greatest
        return self._random.randint(lowest, max(lowest, greatest - size + 1))

    def _rows(self, kind: Kind, count: int, near: int, size: int) -> list[SourceRow]:
        if kind is Kind.new:
            return self._applications.take(count)
        keys = [near + step for step in self._random.sample(range(size), count)]
        return [{"application_id": key, **self._changed(kind)} for key in keys]

    def _changed(self, kind: Kind) -> SourceRow:
        if kind is Kind.decision:
            return {"draw": self._random.random()}
        if kind is Kind.correction:
            example = self._random.choice(self._applications.examples)
            groups = self._random.sample(CORRECTED_TOGETHER, self._random.randint(1, 2))
            return {column: example[column] for group in groups for column in group}
        return {}


def relation(schema: str) -> str:
    """The source's table in ``schema``, quoted."""
    return f"{quote_identifier(schema)}.{TABLE}"


def statements(table: str) -> dict[Kind, str]:
    """For each kind the statement that makes such changes; its parameter is rows as JSON."""
    columns = ", ".join(FILE_COLUMNS)
    rows = f"json_populate_recordset(NULL::{table}, %s) AS change"
    decisions = "json_to_recordset(%s) AS change (application_id bigint, draw double precision)"
    # A row that another session works on is passed over for the next one: nothing
    # here ever waits for a row, so nothing can deadlock.
    wanted = """
        WITH wanted AS (
            SELECT found.application_id AS found, change.*
            FROM {rows}
            CROSS JOIN LATERAL (
                SELECT application_id FROM {table}
                WHERE application_id >= change.application_id
                ORDER BY application_id LIMIT 1
                FOR UPDATE SKIP LOCKED
            ) AS found
        )"""
    wanted_rows = wanted.format(rows=rows, table=table)
    wanted_decisions = wanted.format(rows=decisions, table=table)
    return {
        Kind.new: f"INSERT INTO {table} (application_id, {columns})"
        f" SELECT application_id, {columns} FROM {rows}",
        Kind.correction: f"""{wanted_rows}
        UPDATE {table} AS old SET {_CORRECTED}, updated_at = now()
        FROM wanted WHERE old.application_id = wanted.found""",
        Kind.decision: f"""{wanted_decisions}
        UPDATE {table} AS old SET loan_status = {_DECIDED}, updated_at = now()
        FROM wanted WHERE old.application_id = wanted.found""",
        Kind.withdrawal: f"""{wanted_rows}
        DELETE FROM {table} AS old USING wanted WHERE old.application_id = wanted.found""",
    }


def _odds(row: str) -> str:
    """The logarithm of the odds of approval, as the generator's rows have them, in SQL."""

    def weights(column: str, of: dict[str, float]) -> str:
        cases = " ".join(f"WHEN '{value}' THEN {weight}" for value, weight in of.items())
        return f"CASE {row}.{column} {cases} END"

    terms = [
        f"{d.APPROVAL_INTERCEPT}",
        f"{d.APPROVAL_PERCENT_INCOME} * {row}.loan_percent_income",
        f"{d.APPROVAL_INT_RATE} * {row}.loan_int_rate",
        f"{d.APPROVAL_LOG_INCOME} * ln(greatest({row}.person_income, 1))",
        weights("person_home_ownership", d.APPROVAL_HOME),
        weights("loan_intent", d.APPROVAL_INTENT),
    ]
    return " + ".join(terms)


# What a change does not name stays. A previous default decides by itself.
_CORRECTED = ", ".join(
    f"{column} = coalesce(wanted.{column}, old.{column})"
    for column in FILE_COLUMNS
    if column != "loan_status"
)
_DECIDED = (
    "CASE WHEN old.previous_loan_defaults_on_file = 'Yes' THEN 0"
    f" WHEN wanted.draw < 1 / (1 + exp(-({_odds('old')}))) THEN 1 ELSE 0 END"
)
