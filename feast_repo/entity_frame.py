"""Entities given as a DataFrame: checked, typed, and shown to Trino for as long as a query runs.

They are uploaded as one Parquet object that Trino reads in place, because an INSERT is text:
Trino refuses more than a million characters of it, which is 28,000 rows, and infers types from
the text. Uploading a million rows takes two seconds. It needs a MinIO user that may put and
delete objects below one prefix of gold and read nothing, and the tables of `hive.feast` in
Trino.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import boto3
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.repo_config import FeastConfigBaseModel
from pydantic import SecretStr

logger = logging.getLogger(__name__)

UTC_TIME = pa.timestamp("us", "UTC")
ROW = "entity_row"
ROW_GROUP_ROWS = 100_000  # Trino's threads each read some of them
PREFIX = "entities_"
# A killed process does not drop its table; no query runs for so long.
ABANDONED_AFTER_SECONDS = 86_400

SIMPLE_TYPES = {
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.string(): "varchar",
    pa.binary(): "varbinary",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp(6)",
    UTC_TIME: "timestamp(6)",  # Hive has none with a zone: these are the digits in UTC
}

Execute = Callable[[str], list[list[Any]]]


class EntityStorage(FeastConfigBaseModel):
    """Where the object goes (`entities` of the offline store in feature_store.yaml)."""

    endpoint: str
    region: str
    bucket: str
    folder: str
    access_key: str
    secret_key: SecretStr
    catalog: str
    schema_name: str


class EntityColumn(NamedTuple):
    """A column of the entities: what SQL calls it, what the caller calls it, Trino's type."""

    source: str
    name: str
    type: str


class EntityFrame:
    """A DataFrame's rows in the types in which Trino reads them.

    Raises ValueError, which names the column, if a value cannot be converted.
    """

    def __init__(self, frame: pd.DataFrame, event_time: str, integer_keys: set[str]) -> None:
        names = list(frame.columns)
        if not_text := [name for name in names if not isinstance(name, str)]:
            raise ValueError(f"entity column {not_text[0]!r}: a column's name must be text")
        check_names(names)
        arrays = [as_array(frame[name]) for name in names if name != event_time]
        arrays.insert(names.index(event_time), as_event_time(frame[event_time]))
        arrays = [
            as_integers(array, name) if name in integer_keys else array
            for array, name in zip(arrays, names, strict=True)
        ]
        self.columns = [
            EntityColumn(f"c{number}", name, self.type_in_query(array.type))
            for number, (name, array) in enumerate(zip(names, arrays, strict=True))
        ]
        row = pa.array(range(len(frame)), pa.int64())
        self.table = pa.table([*arrays, row], names=[*(c.source for c in self.columns), ROW])
        at = pc.min_max(arrays[names.index(event_time)])
        self.first, self.last = at["min"].as_py(), at["max"].as_py()
        self.name = f"{PREFIX}{int(time.time())}_{uuid.uuid4().hex}"

    @staticmethod
    def type_in_query(kind: pa.DataType) -> str:
        return "timestamp(6) with time zone" if kind == UTC_TIME else hive_type(kind)

    def selection(self) -> list[str]:
        """SQL of the columns under their own names, times with their zone again."""
        return [
            f"{in_utc(column) if 'time zone' in column.type else column.source}"
            f" as {quoted(column.name)}"
            for column in self.columns
        ]

    def table_name(self, storage: EntityStorage) -> str:
        return f"{storage.catalog}.{storage.schema_name}.{self.name}"

    @contextmanager
    def shown(self, storage: EntityStorage, execute: Execute) -> Iterator[None]:
        """Trino has the table for the block; afterwards table and object are deleted."""
        remove_abandoned(storage, execute)
        table, key = self.table_name(storage), f"{storage.folder}/{self.name}/entities.parquet"
        s3 = boto3.client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region,
            aws_access_key_id=storage.access_key,
            aws_secret_access_key=storage.secret_key.get_secret_value(),
        )
        columns = ", ".join(f"{field.name} {hive_type(field.type)}" for field in self.table.schema)
        place = f"s3://{storage.bucket}/{storage.folder}/{self.name}"
        try:
            with NamedTemporaryFile(suffix=".parquet") as file:
                pq.write_table(self.table, file.name, row_group_size=ROW_GROUP_ROWS)
                s3.upload_file(file.name, storage.bucket, key)
            execute(
                f"create table {table} ({columns})"
                f" with (external_location = '{place}', format = 'PARQUET')"
            )
            yield
        finally:
            # Both run, and neither hides why a query failed.
            attempt(f"drop {table}", lambda: execute(f"drop table if exists {table}"))
            attempt(f"delete {place}", lambda: s3.delete_object(Bucket=storage.bucket, Key=key))


def attempt(what: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:
        logger.warning(
            "could not %s (%s): the next upload a day from now does, or its expiry", what, error
        )


def remove_abandoned(storage: EntityStorage, execute: Execute) -> None:
    """Drop the tables of processes that were killed; MinIO expires their objects by itself."""
    oldest = f"{PREFIX}{int(time.time()) - ABANDONED_AFTER_SECONDS}"
    found = execute(
        f"select table_name from {storage.catalog}.information_schema.tables"
        f" where table_schema = '{storage.schema_name}'"
        f" and table_name >= '{PREFIX}' and table_name < '{oldest}'"
    )
    for [name] in found:
        execute(f"drop table if exists {storage.catalog}.{storage.schema_name}.{name}")


def check_names(names: list[str]) -> None:
    """Raise ValueError if two columns have the same name in SQL, which ignores case."""
    lower = [name.lower() for name in names]
    for name in names:
        if lower.count(name.lower()) > 1:
            raise ValueError(f"entity column {name!r}: there are two of that name")


def as_event_time(values: pd.Series) -> pa.Array:
    """Times in UTC, in microseconds; those without a zone are UTC already."""
    if pd.api.types.is_numeric_dtype(values):  # seconds or nanoseconds, who knows
        raise ValueError(f"entity column {values.name!r} is {values.dtype}, not a time")
    try:
        is_time = pd.api.types.is_datetime64_any_dtype(values)
        times = pd.to_datetime(values, utc=True, format=None if is_time else "ISO8601")
    except (ValueError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"entity column {values.name!r}: {why}") from error
    return whole_microseconds(pa.Array.from_pandas(times)).cast(UTC_TIME)


def as_array(values: pd.Series) -> pa.Array:
    try:
        return simple(pa.Array.from_pandas(values), str(values.name))
    except (pa.ArrowException, OverflowError) as error:
        raise ValueError(
            f"entity column {values.name!r}: {error}; give all its values one type, or leave it out"
        ) from error


def as_integers(array: pa.Array, name: str) -> pa.Array:
    """A key's values; pandas converts integers with a missing value to floats."""
    if pa.types.is_integer(array.type):
        return array
    try:
        if pa.types.is_floating(array.type) or array.null_count == len(array):
            return array.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise ValueError(f"entity column {name!r}: {error}; the key is a whole number") from error
    raise ValueError(f"entity column {name!r}: the key is a whole number, not {array.type}")


def simple(array: pa.Array | pa.ChunkedArray, name: str) -> pa.Array:
    """The array in one of the few types that Trino's Hive tables have, without loss."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type
    if pa.types.is_dictionary(kind):  # a category of pandas
        return simple(array.dictionary_decode(), name)
    if pa.types.is_timestamp(kind):
        times = whole_microseconds(array)
        return times.cast(UTC_TIME) if kind.tz else times
    if pa.types.is_list(kind):
        items = simple(array.flatten(), name)
        if items.type in SIMPLE_TYPES and not pa.types.is_timestamp(items.type):
            return array.cast(pa.list_(items.type))
    if pa.types.is_decimal128(kind) and kind.scale >= 0:
        return array
    if target := simple_type(kind):
        return array.cast(target)
    raise ValueError(f"entity column {name!r}: {kind} has no type in Trino; convert it, or drop it")


def simple_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_null(kind) or pa.types.is_large_string(kind) or pa.types.is_string(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int32() if kind.bit_width < 32 or kind == pa.int32() else pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_date(kind):
        return pa.date32()
    return kind if kind in SIMPLE_TYPES else None


def whole_microseconds(times: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Digits in UTC, rounded down: what becomes true a nanosecond later is still the future."""
    if isinstance(times, pa.ChunkedArray):
        times = times.combine_chunks()
    digits = times.view(pa.timestamp(times.type.unit))
    return pc.floor_temporal(digits, unit="microsecond").cast(pa.timestamp("us"))


def hive_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if pa.types.is_list(kind):
        return f"array({hive_type(kind.value_type)})"
    return SIMPLE_TYPES[kind]


def in_utc(column: EntityColumn) -> str:
    return f"with_timezone({column.source}, 'UTC')"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
