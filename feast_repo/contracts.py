"""The features of gold's contracts: read from dbt's files, their only definition."""

import re
from pathlib import Path
from typing import Any

import yaml
from feast import Field
from feast.types import Bool, FeastType, Float64, Int64, String, UnixTimestamp
from jinja2 import Template

# Links into the dbt project: the gold tables' contracts, and the descriptions of columns.
CONTRACTS = Path(__file__).with_name("gold")
DESCRIPTIONS = Path(__file__).with_name("columns.md")

FEAST_TYPE: dict[str, FeastType] = {
    "bigint": Int64,
    "double": Float64,
    "varchar": String,
    "boolean": Bool,
    "timestamp(6) with time zone": UnixTimestamp,
}
NOT_FEATURES = ("application_id", "event_timestamp", "created_timestamp")


def features(table: str) -> list[Field]:
    """A feature for every column of a gold table that is neither key nor time."""
    return [
        Field(
            name=column["name"],
            dtype=FEAST_TYPE[column["data_type"]],
            description=text(column["description"]),
            tags={key: str(value) for key, value in meta(column).items()},
        )
        for column in contract(table)["columns"]
        if column["name"] not in NOT_FEATURES
    ]


def description(table: str) -> str:
    return text(contract(table)["description"])


def contract(table: str) -> dict[str, Any]:
    [model] = yaml.safe_load((CONTRACTS / f"{table}.yml").read_text())["models"]
    return dict(model)


def meta(column: dict[str, Any]) -> dict[str, Any]:
    return dict(column.get("config", {}).get("meta", {}))


def text(description: str) -> str:
    """A description as dbt reads it: {{ doc('x') }} is the block x of columns.md."""
    blocks = re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", DESCRIPTIONS.read_text(), re.DOTALL)
    docs = {name: block.strip() for name, block in blocks}
    return Template(description).render(doc=docs.__getitem__).strip()
