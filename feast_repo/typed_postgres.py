"""An online store in PostgreSQL that keeps a row per application, with typed columns.

Feast's own keeps a row per application and feature, each value as a protobuf and as a
text, under three indexes: 14 rows instead of one, and COPY cannot fill it from a query's
result. It also holds on to one connection, so that a server that outlives a
restart of PostgreSQL never reads again. And a read takes what Flink streamed where gold is older.
"""

import atexit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Literal, NamedTuple

from feast import Entity, FeatureView, RepoConfig, utils
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.utils.postgres.connection_utils import _get_conn_kwargs, _get_conninfo
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, FeastType, Float64, Int64, String, UnixTimestamp
from psycopg import Connection, Cursor, sql
from psycopg_pool import ConnectionPool

from feast_repo.activity import ActivityTables
from feast_repo.streamed import (
    KnownColumns,
    Streamed,
    ensure_folded_offsets,
    folded_offsets_table,
    streamed_of,
)

# What PostgreSQL calls a type, and the part of Feast's value that holds one.
TYPES: dict[FeastType, tuple[str, str]] = {
    Int64: ("bigint", "int64_val"),
    Float64: ("double precision", "double_val"),
    String: ("text", "string_val"),
    Bool: ("boolean", "bool_val"),
    UnixTimestamp: ("timestamp with time zone", "unix_timestamp_val"),
}
# In addition to the key and the features. The hash is of gold's row; it is null in a row
# that was not written by feast_repo.materialize.
TIMES = {
    "event_timestamp": "timestamp with time zone",
    "created_timestamp": "timestamp with time zone",
}
ROW_HASH = {"row_hash": "bigint"}

FeatureRow = tuple[datetime | None, dict[str, Value] | None]


class TypedPostgresOnlineStoreConfig(PostgreSQLConfig):
    type: Literal["feast_repo.typed_postgres.TypedPostgresOnlineStore"] = (
        "feast_repo.typed_postgres.TypedPostgresOnlineStore"
    )


def table_name(project: str, view: FeatureView) -> str:
    return f"{project}_{view.name}"


def key_column(view: FeatureView) -> str:
    [key] = view.entity_columns
    return str(key.name)


def columns(view: FeatureView) -> dict[str, str]:
    """The columns of a view's table with their types, in the order of the table."""
    [key] = view.entity_columns
    features = {feature.name: TYPES[feature.dtype][0] for feature in view.features}
    return {key.name: TYPES[key.dtype][0], **TIMES, **features, **ROW_HASH}


class ViewRead(NamedTuple):
    """One view of a read, and the requested features."""

    view: FeatureView
    features: list[str]


class TypedPostgresOnlineStore(OnlineStore):
    def __init__(self) -> None:
        self._pool: ConnectionPool | None = None
        self._opening = Lock()
        self._streaming: dict[Streamed, KnownColumns] = {}

    @contextmanager
    def connection(self, config: RepoConfig) -> Iterator[Connection]:
        """A connection that works, even if PostgreSQL was restarted since the last use."""
        with self._opening:
            if self._pool is None:
                self._pool = ConnectionPool(
                    _get_conninfo(config.online_store),
                    kwargs={**_get_conn_kwargs(config.online_store), "autocommit": True},
                    min_size=config.online_store.min_conn,
                    max_size=config.online_store.max_conn,
                    timeout=5,
                    check=ConnectionPool.check_connection,
                    open=True,
                )
                atexit.register(self._pool.close)
        with self._pool.connection() as connection:
            yield connection

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        with self.connection(config) as connection, connection.transaction():
            cursor = connection.cursor()
            for view in tables_to_delete:
                if view.online:  # else it has no table of its own
                    drop_table(cursor, table_name(config.project, view))
            for view in tables_to_keep:
                ensure_table(cursor, table_name(config.project, view), view)
            if tables_to_keep:
                ensure_folded_offsets(cursor, config.project)
                ActivityTables(config.project).ensure(cursor)
            else:
                drop_table(cursor, folded_offsets_table(config.project))
                ActivityTables(config.project).drop(cursor)

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        self.update(config, tables, [], [], [], partial=False)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        names = [name for name in columns(table) if name not in ROW_HASH]
        key = key_column(table)
        assignments = [
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in (*names[1:], *ROW_HASH)
        ]
        statement = sql.SQL(
            "insert into {} ({}) values ({}) on conflict ({}) do update set {}"
        ).format(
            sql.Identifier(table_name(config.project, table)),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(sql.Placeholder() * len(names)),
            sql.Identifier(key),
            sql.SQL(", ").join(assignments),
        )
        rows = [
            (
                from_value(entity.entity_values[0]),
                utc(event),
                utc(created) if created else None,
                *(from_value(values[name]) for name in names[3:]),
            )
            for entity, values, event, created in data
        ]
        with self.connection(config) as connection, connection.transaction():
            connection.cursor().executemany(statement, rows)
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[FeatureRow]:
        features = requested_features or [feature.name for feature in table.features]
        [rows] = self.read(config, [ViewRead(table, features)], keys_of(entity_keys))
        return rows

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[tuple[FeatureView, list[str]]],
        join_key_values: dict[str, list[Value]],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: GetOnlineFeaturesResponse,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """Read all views by one statement: one round trip, and all of one moment."""
        unique = [
            utils._get_unique_entities(view, join_key_values, entity_name_to_join_key_map)
            for view, _ in grouped_refs
        ]
        keys = [keys_of(utils._get_entity_key_protos(values)) for values, _, _ in unique]
        if any(other != keys[0] for other in keys[1:]):
            super()._read_features_per_fv(
                config,
                grouped_refs,
                join_key_values,
                entity_name_to_join_key_map,
                online_features_response,
                full_feature_names,
                include_feature_view_version_metadata,
            )
            return
        reads = [ViewRead(view, features) for view, features in grouped_refs]
        results = self.read(config, reads, keys[0])
        for read, rows, (_, indexes, length) in zip(reads, results, unique, strict=True):
            utils._populate_response_from_feature_data(
                read.features,
                rows,
                indexes,
                online_features_response,
                full_feature_names,
                read.view,
                length,
                include_feature_view_version_metadata,
            )

    def read(
        self, config: RepoConfig, reads: list[ViewRead], keys: list[Any]
    ) -> list[list[FeatureRow]]:
        """For each view a row per key, in the order of the keys."""
        streamed = streamed_of(config.project, reads[0].view)
        with self.connection(config) as connection:
            known = self._streaming.setdefault(streamed, KnownColumns())
            statement = select(config.project, reads, streamed, known.look(streamed, connection))
            cursor = connection.execute(statement, (keys,), binary=True)
            found = {row[0]: row[1:] for row in cursor}
        results: list[list[FeatureRow]] = []
        start = 0
        for view, features in reads:
            makers = [to_value(view, name) for name in features]
            end = start + 1 + len(features)
            results.append([as_row(found[key][start:end], features, makers) for key in keys])
            start = end
        return results


def select(
    project: str, reads: list[ViewRead], streamed: Streamed, columns_streamed: frozenset[str]
) -> sql.Composed:
    """One row per key, with the columns of all views side by side; nulls where there is none."""
    key = key_column(reads[0].view)
    wanted: list[sql.Composable] = [sql.SQL("wanted.key")]
    joins: list[sql.Composable] = []
    for number, (view, features) in enumerate(reads):
        alias = f"view_{number}"
        is_streamed = columns_streamed.issuperset(feature.name for feature in view.features)
        wanted += [
            streamed.pick(alias, name) if is_streamed else sql.Identifier(alias, name)
            for name in ("event_timestamp", *features)
        ]
        joins.append(
            sql.SQL("left join {} as {} on {} = wanted.key").format(
                sql.Identifier(table_name(project, view)),
                sql.Identifier(alias),
                sql.Identifier(alias, key_column(view)),
            )
        )
    if columns_streamed:
        joins.append(streamed.joins(key))
    key_type = columns(reads[0].view)[key]
    return sql.SQL("select {} from unnest(%s::{}[]) as wanted (key) {}").format(
        sql.SQL(", ").join(wanted), sql.SQL(key_type), sql.SQL(" ").join(joins)
    )


def as_row(
    values: tuple[Any, ...], features: list[str], makers: list[Callable[[Any], Value]]
) -> FeatureRow:
    event_timestamp, *values_of_features = values
    if event_timestamp is None:
        return None, None
    made = (maker(value) for maker, value in zip(makers, values_of_features, strict=True))
    return event_timestamp, dict(zip(features, made, strict=True))


def to_value(view: FeatureView, name: str) -> Callable[[Any], Value]:
    """What makes Feast's value of one of PostgreSQL's, for a feature."""
    [dtype] = [feature.dtype for feature in view.features if feature.name == name]
    part = TYPES[dtype][1]
    if dtype == UnixTimestamp:
        return lambda value: Value() if value is None else make_value(part, int(value.timestamp()))
    return lambda value: Value() if value is None else make_value(part, value)


def make_value(part: str, content: Any) -> Value:
    parts: dict[str, Any] = {part: content}
    return Value(**parts)


def from_value(value: Value) -> Any:
    part = value.WhichOneof("val")
    if part is None:
        return None
    content = getattr(value, part)
    return datetime.fromtimestamp(content, UTC) if part == "unix_timestamp_val" else content


def keys_of(entity_keys: Sequence[EntityKey]) -> list[Any]:
    return [from_value(entity.entity_values[0]) for entity in entity_keys]


def utc(time: datetime) -> datetime:
    """Feast passes times in UTC, with or without a time zone."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def drop_table(cursor: Cursor, name: str) -> None:
    cursor.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(name)))


def ensure_table(cursor: Cursor, name: str, view: FeatureView) -> None:
    """Add a view's missing columns to its table; existing columns keep their values."""
    wanted = columns(view)
    cursor.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = current_schema() and table_name = %s",
        (name,),
    )
    present: dict[str, str] = dict(cursor.fetchall())
    key = key_column(view)
    if present.get(key) != wanted[key]:  # none, or of Feast's own format
        drop_table(cursor, name)
        present = {key: wanted[key]}
        cursor.execute(
            sql.SQL("create table {} ({} {} primary key)").format(
                sql.Identifier(name), sql.Identifier(key), sql.SQL(wanted[key])
            )
        )
    changed = {column for column, kind in present.items() if wanted.get(column) != kind}
    for column in changed:
        cursor.execute(
            sql.SQL("alter table {} drop column {}").format(
                sql.Identifier(name), sql.Identifier(column)
            )
        )
    for column, kind in wanted.items():
        if column not in present or column in changed:
            cursor.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    sql.Identifier(name), sql.Identifier(column), sql.SQL(kind)
                )
            )
