"""Compares the online store with gold, value by value, for all applications.

Those whose newest change Flink has streamed, and gold does not have yet, are left out.
Exits with code 1 and prints the first differences if they differ.
"""

import argparse
import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import trino
from feast import FeatureStore, FeatureView
from feast.types import Float64
from psycopg import sql
from rich.console import Console
from rich.table import Table

from feast_repo.store import (
    current_table,
    gold_views,
    online_store,
    open_store,
    run,
    trino_cursor,
)
from feast_repo.streamed import streamed_of
from feast_repo.typed_postgres import key_column, table_name

BATCH_ROWS = 1_000
MAX_SHOWN = 10
ABSENT = "not there"


class OnlineDifference(NamedTuple):
    view: str
    key: int
    feature: str
    gold: object
    online: object


def differences(store: FeatureStore) -> Iterator[OnlineDifference]:
    with trino_cursor(store) as cursor:
        for view in gold_views(store):
            different = [
                *different_values(store, view, cursor),
                *too_many_keys(store, view, cursor),
            ]
            newer = newer_than_gold(store, view) if different else set()
            yield from (one for one in different if one.key not in newer)


def newer_than_gold(store: FeatureStore, view: FeatureView) -> set[int]:
    """Asked after the comparison: a row that was streamed during it is among them."""
    streamed = streamed_of(store.project, view)
    with online_store(store).connection(store.config) as connection:
        return streamed.newer_keys(connection, key_column(view))


def different_values(
    store: FeatureStore, view: FeatureView, cursor: trino.dbapi.Cursor
) -> Iterator[OnlineDifference]:
    """Compare each of gold's rows with what the SDK serves."""
    key, names = key_column(view), [feature.name for feature in view.features]
    cursor.execute(f"select {key}, {', '.join(names)} from {current_table(view)}")
    rows = iter(cursor)
    while batch := list(islice(rows, BATCH_ROWS)):
        served = store.get_online_features(
            features=[f"{view.name}:{name}" for name in names],
            entity_rows={key: [row[0] for row in batch]},
        ).to_dict()
        for number, (application, *values) in enumerate(batch):
            online = [served[name][number] for name in names]
            if all(value is None for value in online):
                yield OnlineDifference(str(view.name), application, "all", "there", ABSENT)
                continue
            for feature, gold, value in zip(view.features, values, online, strict=True):
                if not same(as_served(feature.dtype, gold), value):
                    yield OnlineDifference(str(view.name), application, feature.name, gold, value)


def too_many_keys(
    store: FeatureStore, view: FeatureView, cursor: trino.dbapi.Cursor
) -> Iterator[OnlineDifference]:
    """Applications that are served and not in gold."""
    key = key_column(view)
    cursor.execute(f"select {key} from {current_table(view)}")
    gold = {row[0] for row in cursor}
    statement = sql.SQL("select {} from {} order by 1").format(
        sql.Identifier(key), sql.Identifier(table_name(store.project, view))
    )
    with online_store(store).connection(store.config) as connection:
        for [application] in connection.execute(statement):
            if application not in gold:
                yield OnlineDifference(str(view.name), application, "all", ABSENT, "there")


def as_served(dtype: object, value: object) -> object:
    """Trino returns NaN and infinities as texts."""
    return float(value) if dtype == Float64 and isinstance(value, str) else value


def same(gold: object, online: object) -> bool:
    both_nan = all(isinstance(value, float) and math.isnan(value) for value in (gold, online))
    return both_nan or (gold == online and type(gold) is type(online))


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m feast_repo.consistency", description=__doc__
    ).parse_args()

    def command(console: Console) -> int:
        found = list(islice(differences(open_store()), MAX_SHOWN))
        if not found:
            console.print("[green]online = gold, for all applications, value by value")
            return 0
        table = Table(*OnlineDifference._fields, title=f"The first {len(found)} differences")
        for difference in found:
            table.add_row(*map(str, difference))
        console.print(table)
        console.print("`python -m feast_repo.materialize --all` rewrites every row")
        return 1

    run(command)


if __name__ == "__main__":
    main()
