"""What silver and gold say of an application, in Flink's SQL.

It is not written a second time: columns, rules and features are read from the dbt project, and
sqlglot turns Trino's SQL into Flink's.
"""

import csv
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import sqlglot
import yaml
from jinja2 import Environment
from sqlglot import exp

from streaming.errors import StreamingError

DBT_PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"
FEATURES = "models/gold/features/historical_features"
# In that model: the last step, and the condition under which a version has features at all.
LAST_STEP, HAS_FEATURES = "features", "has_features"

MINUTES_OF_DAY = 24 * 60
# Flink's name of a type in dbt's contracts.
FEATURE_TYPES = {"bigint": "BIGINT", "double": "DOUBLE", "varchar": "STRING", "boolean": "BOOLEAN"}


@dataclass(frozen=True)
class Column:
    """A column of the source: SQL of its text, and of its value, null if that does not fit."""

    name: str
    text: str
    value: str


@dataclass(frozen=True)
class Feature:
    """A feature: SQL over the source's columns, and Flink's type."""

    name: str
    expression: str
    type: str


@dataclass(frozen=True)
class Activity:
    """Of which segments activity is counted: by the kind of a segment, the column that names it."""

    segments: dict[str, str]
    # State outlives the longest window by a day.
    state_days: int


@dataclass(frozen=True)
class Definitions:
    columns: list[Column]
    # Conditions, of which an application that is rejected meets at least one.
    rejections: list[str]
    features: list[Feature]
    activity: Activity


def read_definitions(project: Path = DBT_PROJECT) -> Definitions:
    """Read those of a dbt project.

    Raises StreamingError, which names the definition, for one that Flink cannot have.
    """
    settings = yaml.safe_load((project / "dbt_project.yml").read_text())
    variables: dict[str, Any] = settings["vars"]
    accepted = accepted_values(project / "seeds/accepted_values.csv")
    return Definitions(
        columns=source_columns(project, variables),
        rejections=[
            to_flink(rule["predicate"], f"rule {rule['name']}", accepted)
            for rule in variables["loan_application_rules"]
            if rule["severity"] == "reject"
        ],
        features=features(project, variables),
        activity=Activity(
            segments=variables["activity_segments"],
            state_days=ceil(max(variables["activity_windows"].values()) / MINUTES_OF_DAY) + 1,
        ),
    )


def accepted_values(seed: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with seed.open(newline="") as lines:
        for row in csv.DictReader(lines):
            found.setdefault(row["attribute"], []).append(row["value"])
    return found


def source_columns(project: Path, variables: dict[str, Any]) -> list[Column]:
    """The attributes of a row, which Debezium sends as texts and numbers."""
    returned: list[list[dict[str, str]]] = []
    macros = jinja(variables, returned).from_string(
        (project / "macros/loan_attributes.sql").read_text()
    )
    macros.module.loan_columns()  # type: ignore[attr-defined]
    return [source_column(column["name"], column["type"]) for column in returned[0]]


def source_column(name: str, trino_type: str) -> Column:
    text = f"`after`['{name}']"
    return Column(name, text, value_of(text, trino_type))


def value_of(text: str, trino_type: str) -> str:
    if trino_type == "varchar":
        return text
    if trino_type.startswith("timestamp"):
        # ISO 8601 in UTC. Flink's cast takes a space, and no zone; and it takes years that silver
        # cannot hold: before 1, and after 9999, which have a sign.
        moment = f"TRY_CAST(REPLACE(REPLACE({text}, 'T', ' '), 'Z', '') AS TIMESTAMP(6))"
        return f"CASE WHEN {text} LIKE '____-__-__T%' AND {text} >= '0001' THEN {moment} END"
    return f"TRY_CAST({text} AS {trino_type.upper()})"


def features(project: Path, variables: dict[str, Any]) -> list[Feature]:
    """The features of the model that all feature tables select from."""
    [model] = yaml.safe_load((project / f"{FEATURES}.yml").read_text())["models"]
    types = {column["name"]: column["data_type"] for column in model["columns"]}
    macros = [project / f"macros/{name}.sql" for name in ("band", "to_percent")]
    # In one template, so that the model sees the macros.
    texts = [*macros, project / f"{FEATURES}.sql"]
    template = jinja(variables).from_string("".join(text.read_text() for text in texts))
    [last] = [
        step.this
        for step in sqlglot.parse_one(template.render(), read="trino").find_all(exp.CTE)
        if step.alias == LAST_STEP
    ]
    return [
        Feature(
            column.alias,
            to_flink(column.this.args["true"], f"feature {column.alias}"),
            FEATURE_TYPES[types[column.alias]],
        )
        for column in last.expressions
        if isinstance(column.this, exp.If) and column.this.this.name == HAS_FEATURES
    ]


def jinja(variables: dict[str, Any], returned: list[Any] | None = None) -> Environment:
    """As much of dbt's Jinja as these files use; what a macro returns is added to `returned`."""

    def keep(value: Any) -> str:  # noqa: ANN401 (a macro returns what it wants)
        if returned is not None:
            returned.append(value)
        return ""

    environment = Environment(extensions=["jinja2.ext.do"], autoescape=False)  # noqa: S701 (SQL)
    environment.globals |= {
        "var": variables.__getitem__,
        "ref": lambda name: name,
        "return": keep,
    }
    return environment


def to_flink(
    expression: str | exp.Expression, what: str, accepted: dict[str, list[str]] | None = None
) -> str:
    """Trino's expression as Flink's."""
    parsed = (
        sqlglot.parse_one(expression, read="trino") if isinstance(expression, str) else expression
    )
    listed = parsed.transform(in_list, accepted or {})
    if unknown := sorted({node.sql("trino") for node in listed.find_all(exp.Anonymous)}):
        raise StreamingError(
            f"{what}: Flink has no {', '.join(unknown)}",
            "write it with functions that both have (docs/stream-features.md)",
        )
    # Of sqlglot's dialects it is Spark's whose types and functions are named as Flink's.
    return listed.sql("spark")


def in_list(node: exp.Expression, accepted: dict[str, list[str]]) -> exp.Expression:
    """``contains(accepted['x'], y)`` as ``y in (...)``: the seed's values are constants here."""
    if not isinstance(node, exp.ArrayContains) or not isinstance(node.this, exp.Bracket):
        return node
    [attribute] = node.this.expressions
    values = [exp.Literal.string(value) for value in accepted[attribute.name]]
    return exp.In(this=node.expression, expressions=values)
