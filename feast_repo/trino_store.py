"""Feast's offline store on Trino, in which a time means the same in every time zone.

Feast's own works in the time zone of the client (in Tokyo it joins features that are nine
hours old, in New York ones of the future), sends a DataFrame as the text of one INSERT, and
joins each view by itself. Here the session is in UTC, times without a zone are UTC, a
DataFrame goes as Parquet (entity_frame.py), and views of one table are joined once
(point_in_time.py).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import trino
from feast.data_source import DataSource
from feast.errors import FeastEntityDFMissingColumnsError, InvalidEntityType
from feast.feature_view import FeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.contrib.trino_offline_store.trino import (
    TrinoOfflineStore,
    TrinoOfflineStoreConfig,
    TrinoRetrievalJob,
)
from feast.infra.offline_stores.contrib.trino_offline_store.trino_queries import Trino
from feast.infra.offline_stores.contrib.trino_offline_store.trino_type_map import (
    trino_to_pa_value_type,
)
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.types import Int64

from feast_repo.entity_frame import (
    ROW,
    UTC_TIME,
    EntityColumn,
    EntityFrame,
    EntityStorage,
    check_names,
    in_utc,
    quoted,
)
from feast_repo.point_in_time import Entities, feature_name, point_in_time_query

FETCH_ROWS = 20_000


class UtcTrinoOfflineStoreConfig(TrinoOfflineStoreConfig):
    type: Literal["feast_repo.trino_store.UtcTrinoOfflineStore"] = (
        "feast_repo.trino_store.UtcTrinoOfflineStore"
    )
    entities: EntityStorage


class UtcTrino(Trino):
    """Feast's client with sessions in UTC, which hands on rows as they come."""

    def __init__(self, config: TrinoOfflineStoreConfig) -> None:
        super().__init__(
            host=config.host,
            port=config.port,
            user=config.user,
            catalog=config.catalog,
            source=config.source,
            http_scheme=config.http_scheme,
            verify=config.verify,
            extra_credential=config.extra_credential,
            auth=config.auth.to_trino_auth() if config.auth else None,  # type: ignore[no-untyped-call]
        )

    def get_cursor(self) -> trino.dbapi.Cursor:
        header = trino.constants.HEADER_EXTRA_CREDENTIAL
        return trino.dbapi.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            catalog=self.catalog,
            source=self.source,
            http_scheme=self.http_scheme,
            verify=self.verify,
            auth=self.auth,
            http_headers={header: self.extra_credential} if self.extra_credential else {},
            timezone="UTC",
        ).cursor()

    def execute(self, query: str) -> list[list[Any]]:
        # To close a cursor cancels what it still runs: an interrupted call leaves no query.
        with closing(self.get_cursor()) as cursor:
            cursor.execute(query)
            rows: list[list[Any]] = cursor.fetchall()
            return rows

    def columns(self, query: str) -> list[EntityColumn]:
        """The query's columns, without running it."""
        with closing(self.get_cursor()) as cursor:
            cursor.execute(f"select * from (\n{query}\n) limit 0")
            cursor.fetchall()
            return [EntityColumn(quoted(name), name, kind) for name, kind, *_ in cursor.description]

    def read(self, query: str) -> pa.Table:
        """The query's rows, read in batches: only one batch is in memory as Python objects."""
        with closing(self.get_cursor()) as cursor:
            cursor.execute(query)
            schema = pa.schema([(name, arrow_type(kind)) for name, kind, *_ in cursor.description])
            return pa.Table.from_batches(batches(cursor, schema), schema)


def batches(cursor: trino.dbapi.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while rows := cursor.fetchmany(FETCH_ROWS):
        arrays = [
            pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        yield pa.record_batch(arrays, schema=schema)


def arrow_type(kind: str) -> pa.DataType:
    if kind.startswith("timestamp") and kind.endswith("with time zone"):
        return UTC_TIME
    return trino_to_pa_value_type(kind)


class LazyMetadata(RetrievalMetadata):
    """Metadata that queries the first and the last time only when they are read.

    For entities given as SQL this runs their query again.
    """

    def __init__(
        self, features: list[str], keys: list[str], client: UtcTrino, first_and_last: str
    ) -> None:
        self.features, self.keys = features, keys
        self._client, self._query = client, first_and_last
        self._range: list[datetime | None] | None = None

    def _time_range(self) -> list[datetime | None]:
        if self._range is None:
            [self._range] = self._client.execute(self._query)
        return self._range

    # Queried only when they are read.
    @property
    def min_event_timestamp(self) -> datetime | None:  # type: ignore[override]
        return self._time_range()[0]

    @property
    def max_event_timestamp(self) -> datetime | None:  # type: ignore[override]
        return self._time_range()[1]


class UtcTrinoRetrievalJob(TrinoRetrievalJob):
    """A query that runs when its result is read; only then are its entities in Trino."""

    _client: UtcTrino

    def __init__(
        self, *arguments: Any, frame: EntityFrame | None = None, ordered: str = "", **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._frame = frame
        self._ordered = ordered  # the same query, with the number of the DataFrame's row

    def _entities(self) -> AbstractContextManager[None]:
        if self._frame is None:
            return nullcontext()
        return self._frame.shown(self._config.offline_store.entities, self._client.execute)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with self._entities():
            if self._frame is None:
                return self._client.read(self._query)
            rows = self._client.read(self._ordered)
        return rows.sort_by(ROW).drop_columns(ROW)

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal().to_pandas()

    def to_trino(
        self,
        destination_table: str | None = None,
        timeout: int = 1800,
        retry_cadence: int = 10,
    ) -> str:
        """Write the result into a table, without on-demand features; its name."""
        store = self._config.offline_store
        table = destination_table or (
            f"{store.catalog}.{store.dataset}.historical_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}"
        )
        with self._entities():
            self._client.execute(f"create table {table} as\n{self._query}")
        return table


class UtcTrinoOfflineStore(TrinoOfflineStore):
    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> UtcTrinoRetrievalJob:
        client = UtcTrino(config.offline_store)
        keys = join_keys(feature_views)
        if isinstance(entity_df, str):
            frame, given, table = None, client.columns(entity_df), f"(\n{entity_df}\n)"
            event_time = event_time_of({c.name: as_dtype(c.type) for c in given})
            selection, row = sql_selection(given, event_time), f"row_number() over () as {ROW}"
        elif isinstance(entity_df, pd.DataFrame):
            event_time = event_time_of(dict(entity_df.dtypes))
            check_keys(keys, list(entity_df.columns))
            frame = EntityFrame(entity_df, event_time, integers(keys))
            given, table = frame.columns, frame.table_name(config.offline_store.entities)
            selection, row = frame.selection(), ROW
        else:
            raise InvalidEntityType(type(entity_df))
        names = [column.name for column in given]
        check_names(names)
        check_keys(keys, names)

        # The range only goes into bounds of Feast's own template, which is not used.
        now = datetime.now(UTC)
        contexts = offline_utils.get_feature_view_query_context(
            feature_refs, feature_views, registry, project, (now, now)
        )
        check_features(
            names, [feature_name(c, f, full_feature_names) for c in contexts for f in c.features]
        )

        rows = f"select {', '.join([*selection, row])} from {table} as given"

        def query(*more: str) -> str:
            return point_in_time_query(
                contexts,
                Entities(rows, [*names, *more], event_time),
                filter_by_created_timestamp,
                full_feature_names,
            )

        key_names = [name for name in names if name != event_time]
        metadata = (
            RetrievalMetadata(feature_refs, key_names, frame.first, frame.last)
            if frame
            else LazyMetadata(feature_refs, key_names, client, first_and_last(table, event_time))
        )
        return UtcTrinoRetrievalJob(
            query=query(),
            ordered=query(ROW) if frame else "",
            frame=frame,
            client=client,
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(
                feature_refs, project, registry
            ),
            metadata=metadata,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *arguments: Any, **named: Any
    ) -> UtcTrinoRetrievalJob:
        job = TrinoOfflineStore.pull_latest_from_table_or_query(
            config, data_source, *arguments, **named
        )
        return in_utc_session(job, config)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig, data_source: DataSource, *arguments: Any, **named: Any
    ) -> UtcTrinoRetrievalJob:
        job = TrinoOfflineStore.pull_all_from_table_or_query(
            config, data_source, *arguments, **named
        )
        return in_utc_session(cast(TrinoRetrievalJob, job), config)


def in_utc_session(job: TrinoRetrievalJob, config: RepoConfig) -> UtcTrinoRetrievalJob:
    return UtcTrinoRetrievalJob(
        query=job.to_sql(),
        client=UtcTrino(config.offline_store),
        config=config,
        full_feature_names=job.full_feature_names,
    )


def join_keys(views: list[FeatureView]) -> dict[str, Any]:
    """The entities' columns that are keys, with Feast's type of them."""
    return {
        view.projection.join_key_map.get(column.name, column.name): column.dtype
        for view in views
        for column in view.entity_columns
    }


def integers(keys: dict[str, Any]) -> set[str]:
    return {name for name, dtype in keys.items() if dtype == Int64}


def event_time_of(schema: dict[str, Any]) -> str:
    """`event_timestamp`, or else the only time among the columns."""
    return str(offline_utils.infer_event_timestamp_from_entity_df(schema))


def as_dtype(kind: str) -> np.dtype[Any]:
    return np.dtype("datetime64[us]" if kind.startswith("timestamp") else "object")


def sql_selection(columns: list[EntityColumn], event_time: str) -> list[str]:
    """The entities' columns as they are; a time without a zone is UTC."""
    selection = []
    for column in columns:
        name = quoted(column.name)
        if column.name != event_time or column.type.endswith("with time zone"):
            selection.append(name)
        elif column.type.startswith("timestamp"):
            selection.append(f"{in_utc(column)} as {name}")
        elif column.type == "date":
            selection.append(f"with_timezone(cast({name} as timestamp(0)), 'UTC') as {name}")
        else:
            raise ValueError(
                f"entity column {event_time!r} is {column.type}: cast it to a timestamp"
            )
    return selection


def first_and_last(table: str, event_time: str) -> str:
    return f"select min({quoted(event_time)}), max({quoted(event_time)}) from {table} as given"


def check_keys(keys: dict[str, Any], names: list[str]) -> None:
    if missing := keys.keys() - set(names):
        raise FeastEntityDFMissingColumnsError(set(keys), missing)  # type: ignore[no-untyped-call]


def check_features(names: list[str], features: list[str]) -> None:
    """Raise ValueError for a name that two columns of the result would have."""
    for name in names:
        if name in features:
            raise ValueError(
                f"entity column {name!r} has the name of a feature: rename it, or ask with"
                " full_feature_names=True"
            )
