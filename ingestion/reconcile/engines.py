"""The two sides of a comparison: the same questions in each engine's dialect."""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg2 import extensions

from ingestion.postgres import plain_errors, quote_literal
from ingestion.reconcile.canonical import ColumnPair
from ingestion.trino_client import Trino

# 4,096 buckets: of ten million rows, one bucket is some 2,400.
BUCKET_DIGITS = 3
HASH_DIGITS = 15  # 60 bits: the sum of 2^60 rows' hashes fits a decimal(38)

ComparedRow = tuple[Any, ...]


@dataclass(frozen=True)
class Dialect:
    """Where the two engines' SQL differs; each takes and gives an expression.

    Attributes:
        digest: the MD5 of a text, as 32 hexadecimal digits in lower case.
        number: HASH_DIGITS hexadecimal digits as a number whose sum cannot overflow.
        length: the function that counts a text's characters.
    """

    digest: Callable[[str], str]
    number: Callable[[str], str]
    length: str


POSTGRES = Dialect(
    digest=lambda text: f"md5({text})",
    number=lambda digits: f"('x' || {digits})::bit({4 * HASH_DIGITS})::bigint::numeric",
    length="char_length",
)
TRINO = Dialect(
    digest=lambda text: f"lower(to_hex(md5(to_utf8({text}))))",
    number=lambda digits: f"CAST(from_base({digits}, 16) AS decimal(38,0))",
    length="length",
)


class Side(Protocol):
    """The queries of the comparison, for one engine."""

    def checksums(self) -> tuple[int, list[int]]:
        """The row count and each column's checksum."""

    def buckets(self) -> dict[str, tuple[int, int]]:
        """Row count and checksum of each bucket of keys."""

    def rows(self, buckets: Sequence[str]) -> list[ComparedRow]:
        """Key and values, as canonical texts, of all rows in the buckets."""


class SqlSide:
    """A side that SQL answers.

    ``key`` and ``values`` are expressions over ``relation`` that give canonical texts.
    """

    def __init__(
        self,
        dialect: Dialect,
        query: Callable[[str], list[ComparedRow]],
        relation: str,
        key: Sequence[str],
        values: Sequence[str],
    ) -> None:
        self._dialect = dialect
        self._query = query
        self._values = values
        self._keyed = f"(SELECT *, {key_text(key, dialect.length)} AS _key FROM {relation}) AS k"
        self._bucket = f"substr({dialect.digest('_key')}, 1, {BUCKET_DIGITS})"

    def checksums(self) -> tuple[int, list[int]]:
        """See ``Side``."""
        sums = ", ".join(f"coalesce(sum({self._hash(value)}), 0)" for value in self._values)
        row = self._query(f"SELECT count(*), {sums} FROM {self._keyed}")[0]
        return int(row[0]), [int(value) for value in row[1:]]

    def buckets(self) -> dict[str, tuple[int, int]]:
        """See ``Side``."""
        total = " + ".join(self._hash(value) for value in _placed(self._values))
        rows = self._query(
            f"SELECT {self._bucket}, count(*), sum({total}) FROM {self._keyed} GROUP BY 1"
        )
        return {str(name): (int(count), int(value)) for name, count, value in rows}

    def rows(self, buckets: Sequence[str]) -> list[ComparedRow]:
        """See ``Side``."""
        wanted = ", ".join(quote_literal(bucket) for bucket in buckets)
        return self._query(
            f"SELECT _key, {', '.join(self._values)} FROM {self._keyed}"
            f" WHERE {self._bucket} IN ({wanted})"
        )

    def _hash(self, value: str) -> str:
        digest = self._dialect.digest(f"_key || ':' || {value}")
        return self._dialect.number(f"substr({digest}, 1, {HASH_DIGITS})")


def postgres_side(
    connection: extensions.connection,
    relation: str,
    key: Sequence[ColumnPair],
    values: Sequence[ColumnPair],
) -> SqlSide:
    """The source table."""

    def query(sql: str) -> list[ComparedRow]:
        with plain_errors("reading the source"), connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    texts = [column.postgres for column in values]
    return SqlSide(POSTGRES, query, relation, [column.postgres for column in key], texts)


def trino_side(
    trino: Trino,
    tables: Sequence[str],
    key: Sequence[ColumnPair],
    values: Sequence[ColumnPair],
    columns: Sequence[str],
) -> SqlSide:
    """The tables in Trino, taken together."""
    listed = ", ".join(columns)
    relation = " UNION ALL ".join(f"SELECT {listed} FROM {table}" for table in tables)
    texts = [column.trino for column in values]
    return SqlSide(TRINO, trino.query, f"({relation})", [column.trino for column in key], texts)


def _placed(values: Sequence[str]) -> list[str]:
    """Texts with the column's name, so that a sum over columns detects swapped values."""
    return [f"'{position}' || {value}" for position, value in enumerate(values)]


def key_text(texts: Sequence[str], length: str) -> str:
    """One text for a key of any number of columns; no two keys share one."""
    if len(texts) == 1:
        return texts[0]
    return " || ".join(f"CAST({length}({text}) AS varchar) || ':' || {text}" for text in texts)
