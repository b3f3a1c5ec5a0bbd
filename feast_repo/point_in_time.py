"""The SQL of a point-in-time join: each view's row that was valid at each entity's time.

Feast's own template joins each view by itself, scans its table four times, and finds a row
again by a text of its key and time: for three views over one table, twelve scans, and more
memory than a laptop's Trino has. Here views over one table are one step of two scans. The
first finds, by keys and times only, which row holds for each entity; the second is read through
for the features of these rows, so that however many features there are, none is kept in memory.

The entities are read once: `tablesample` or `random()` in their SQL would give others the
second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext

from feast_repo.entity_frame import ROW, quoted


@dataclass
class FeatureTable:
    """A feature table, and the columns that the query reads from it."""

    number: int
    context: FeatureViewQueryContext  # of any of its views: key and times are the same
    columns: list[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """Its own columns that are the key, in the order of the join keys."""
        pairs = zip(self.context.entity_selections, self.context.entities, strict=True)
        return [selection.removesuffix(f" AS {key}") for selection, key in pairs]

    def alias(self, column: str) -> str:
        return f"f_{self.number}_{self.columns.index(column)}"


class Entities(NamedTuple):
    """The entities: SQL of a query with these columns, a time with zone, and ROW, a number."""

    query: str
    columns: list[str]
    event_time: str


def point_in_time_query(
    contexts: Sequence[FeatureViewQueryContext],
    entities: Entities,
    only_known: bool,
    full_names: bool,
) -> str:
    """SQL of the entities' columns and the features.

    With `only_known` a row counts from its created timestamp on, if its source has one. A
    source must not have two rows of one key with the same times.
    """
    sources = sources_of(contexts)
    steps = [f"entities as (\n{entities.query}\n)"]
    before = "entities"
    for source in sources.values():
        steps += step(source, before, entities.event_time, only_known)
        before = f"step_{source.number}"
    selected = [quoted(name) for name in entities.columns]
    for context in contexts:
        source = sources[source_key(context)]
        selected += [
            f"{feature(source, context, column, entities.event_time)}"
            f" as {quoted(feature_name(context, column, full_names))}"
            for column in context.features
        ]
    parts = ",\n".join(steps)
    return f"with {parts}\nselect {', '.join(selected)}\nfrom {before}"


def feature_name(context: FeatureViewQueryContext, column: str, full_names: bool) -> str:
    name = context.field_mapping.get(column, column)
    return f"{context.name}__{name}" if full_names else name


def source_key(context: FeatureViewQueryContext) -> tuple[str, ...]:
    times = (context.timestamp_field, context.created_timestamp_column or "")
    return (context.table_subquery, *times, *context.entity_selections)


def sources_of(contexts: Sequence[FeatureViewQueryContext]) -> dict[tuple[str, ...], FeatureTable]:
    sources: dict[tuple[str, ...], FeatureTable] = {}
    for context in contexts:
        source = sources.setdefault(source_key(context), FeatureTable(len(sources), context))
        new = [column for column in context.features if column not in source.columns]
        source.columns += new
    return sources


def feature(
    source: FeatureTable, context: FeatureViewQueryContext, column: str, event_time: str
) -> str:
    """A feature, unless it is older than the view's TTL."""
    if not context.ttl:
        return source.alias(column)
    oldest = f"{quoted(event_time)} - interval '{context.ttl}' second"
    return f"if(since_{source.number} >= {oldest}, {source.alias(column)})"


def step(source: FeatureTable, before: str, event_time: str, only_known: bool) -> list[str]:
    """The parts of `with` that add a source's features to the rows so far."""
    n, context = source.number, source.context
    keys = [f"k_{number}" for number in range(len(source.keys))]
    table = context.table_subquery
    if len(table.split()) > 1:
        table = f"(\n{table}\n)"
    created = context.created_timestamp_column
    named = [f"{column} as {key}" for column, key in zip(source.keys, keys, strict=True)]
    named.append(f"{context.timestamp_field} as since")
    named.append(f"{created or 'cast(null as timestamp)'} as known")
    features = [f"{column} as {source.alias(column)}" for column in source.columns]
    same_key = [
        f"version.{key} = entity.{quoted(name)}"
        for key, name in zip(keys, context.entities, strict=True)
    ]
    not_later = ["version.since"] + (["version.known"] if only_known and created else [])
    holds = [f"{time} <= entity.{quoted(event_time)}" for time in not_later]
    same_times = [
        f"version.since = entity.since_{n}",
        f"version.known is not distinct from entity.known_{n}",
    ]
    # The build side of the join is on the right and in memory: the entities, unless Trino's
    # statistics show that the table is smaller; then Trino swaps the sides.
    return [
        f"""chosen_{n} as (
select * from (
    select entity.*, version.since as since_{n}, version.known as known_{n}, row_number() over (
        partition by entity.{ROW}
        order by version.since desc nulls last, version.known desc nulls last
    ) as place_{n}
    from (select {", ".join(named)} from {table} as source) as version
    right join {before} as entity on {" and ".join([*same_key, *holds])}
) where place_{n} = 1
)""",
        f"""step_{n} as (
select entity.*{"".join(f", version.{source.alias(column)}" for column in source.columns)}
from (select {", ".join([*named, *features])} from {table} as source) as version
right join chosen_{n} as entity on {" and ".join([*same_key, *same_times])}
)""",
    ]
