"""The two sides of a comparison: the same questions in each engine's SQL."""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from collections.abc import Sequence
from typing import Any, Protocol

from psycopg2 import extensions

from ingestion.postgres import plain_errors, quote_literal
from ingestion.reconcile.canonical import ColumnPair
from ingestion.trino_client import Trino

# 4,096 buckets: of ten million rows, one bucket is some 2,400.
BUCKET_DIGITS = 3
HASH_DIGITS = 15  # 60 bits: the sum of 2^60 rows' hashes fits a decimal(38)

Row = tuple[Any, ...]


class Side(Protocol):
    """What the comparison asks of an engine."""

    def checksums(self) -> tuple[int, list[int]]:
        """The row count and each column's checksum."""

    def buckets(self) -> dict[str, tuple[int, int]]:
        """Row count and checksum of each bucket of keys."""

    def rows(self, buckets: Sequence[str]) -> list[Row]:
        """Key and values, as canonical texts, of all rows in the buckets."""


class PostgresSide:
    """The source table."""

    def __init__(
        self,
        connection: extensions.connection,
        relation: str,
        key: Sequence[ColumnPair],
        values: Sequence[ColumnPair],
    ) -> None:
        self._connection = connection
        self._relation = relation
        self._key = key_text([column.postgres for column in key], "char_length")
        self._values = [column.postgres for column in values]

    def checksums(self) -> tuple[int, list[int]]:
        """See ``Side``."""
        sums = ", ".join(
            f"coalesce(sum({self._hash(value)}::numeric), 0)" for value in self._values
        )
        row = self._query(f"SELECT count(*), {sums} FROM {self._keyed()}")[0]
        return int(row[0]), [int(value) for value in row[1:]]

    def buckets(self) -> dict[str, tuple[int, int]]:
        """See ``Side``."""
        total = " + ".join(f"{self._hash(value)}::numeric" for value in _placed(self._values))
        rows = self._query(
            f"SELECT {self._bucket()}, count(*), sum({total}) FROM {self._keyed()} GROUP BY 1"
        )
        return {str(name): (int(count), int(value)) for name, count, value in rows}

    def rows(self, buckets: Sequence[str]) -> list[Row]:
        """See ``Side``."""
        wanted = ", ".join(quote_literal(bucket) for bucket in buckets)
        return self._query(
            f"SELECT _key, {', '.join(self._values)} FROM {self._keyed()}"
            f" WHERE {self._bucket()} IN ({wanted})"
        )

    def _keyed(self) -> str:
        return f"(SELECT *, {self._key} AS _key FROM {self._relation}) AS keyed"

    def _bucket(self) -> str:
        return f"substr(md5(_key), 1, {BUCKET_DIGITS})"

    def _hash(self, value: str) -> str:
        digits = f"substr(md5(_key || ':' || {value}), 1, {HASH_DIGITS})"
        return f"('x' || {digits})::bit({4 * HASH_DIGITS})::bigint"

    def _query(self, sql: str) -> list[Row]:
        with plain_errors("reading the source"), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()


class TrinoSide:
    """The tables in Trino, taken together."""

    def __init__(
        self,
        trino: Trino,
        tables: Sequence[str],
        key: Sequence[ColumnPair],
        values: Sequence[ColumnPair],
        columns: Sequence[str],
    ) -> None:
        self._trino = trino
        listed = ", ".join(columns)
        self._relation = " UNION ALL ".join(f"SELECT {listed} FROM {table}" for table in tables)
        self._key = key_text([column.trino for column in key], "length")
        self._values = [column.trino for column in values]

    def checksums(self) -> tuple[int, list[int]]:
        """See ``Side``."""
        sums = ", ".join(f"coalesce(sum({self._hash(value)}), 0)" for value in self._values)
        row = self._trino.query(f"SELECT count(*), {sums} FROM {self._keyed()}")[0]
        return int(row[0]), [int(value) for value in row[1:]]

    def buckets(self) -> dict[str, tuple[int, int]]:
        """See ``Side``."""
        total = " + ".join(self._hash(value) for value in _placed(self._values))
        rows = self._trino.query(
            f"SELECT {self._bucket()}, count(*), sum({total}) FROM {self._keyed()} GROUP BY 1"
        )
        return {str(name): (int(count), int(value)) for name, count, value in rows}

    def rows(self, buckets: Sequence[str]) -> list[Row]:
        """See ``Side``."""
        wanted = ", ".join(quote_literal(bucket) for bucket in buckets)
        return self._trino.query(
            f"SELECT _key, {', '.join(self._values)} FROM {self._keyed()}"
            f" WHERE {self._bucket()} IN ({wanted})"
        )

    def _keyed(self) -> str:
        return f"(SELECT *, {self._key} AS _key FROM ({self._relation}))"

    def _bucket(self) -> str:
        return f"substr(lower(to_hex(md5(to_utf8(_key)))), 1, {BUCKET_DIGITS})"

    def _hash(self, value: str) -> str:
        digest = f"to_hex(md5(to_utf8(_key || ':' || {value})))"
        number = f"from_base(substr({digest}, 1, {HASH_DIGITS}), 16)"
        return f"CAST({number} AS decimal(38,0))"


def _placed(values: Sequence[str]) -> list[str]:
    """Texts that say their column too, lest a sum over columns hide swapped values."""
    return [f"'{position}' || {value}" for position, value in enumerate(values)]


def key_text(texts: Sequence[str], length: str) -> str:
    """One text for a key of any number of columns; no two keys share one."""
    if len(texts) == 1:
        return texts[0]
    return " || ".join(f"CAST({length}({text}) AS varchar) || ':' || {text}" for text in texts)
