"""dbt's lineage begins at the source's tables and ends where gold is read. No lake is needed."""

import re
from copy import deepcopy
from typing import Any

import pytest
from feast.repo_contents import RepoContents

from feast_repo.activity import GOLD_MINUTES, VIEW
from feast_repo.store import current_table, source_of
from infra.docs import draw_landing
from ingestion.options import DEFAULT_FILE
from ingestion.source.columns import TABLE_COLUMNS
from ingestion.tables import CHANGES_SUFFIX, MANIFEST_TABLE, load_tables

Manifest = dict[str, Any]

TABLES = load_tables(DEFAULT_FILE).tables


def read_by(manifest: Manifest) -> dict[str, set[str]]:
    """The models that each exposure reads."""
    return {
        exposure["name"]: {node.split(".")[-1] for node in exposure["depends_on"]["nodes"]}
        for exposure in manifest["exposures"].values()
    }


def sources(manifest: Manifest, source: str) -> dict[str, Manifest]:
    found = manifest["sources"].values()
    return {table["name"]: table for table in found if table["source_name"] == source}


def test_feast_reads_what_its_exposures_say(manifest: Manifest, contents: RepoContents) -> None:
    tables = {
        view.name: {table.split(".")[-1] for table in (source_of(view).table, current_table(view))}
        for view in contents.feature_views
        if view.online
    }
    tables[VIEW] = {VIEW, GOLD_MINUTES}
    expected = {f"feast_view_{view}": read for view, read in tables.items()}
    for service in contents.feature_services:
        views = [projection.name for projection in service.feature_view_projections]
        read = set().union(*(tables[view] for view in views if view in tables))
        expected[f"feast_service_{service.name}"] = read
    exposed = read_by(manifest)
    assert {name: exposed[name] for name in exposed if name.startswith("feast_")} == expected


def test_reconcile_reads_the_tables_of_its_exposure(manifest: Manifest) -> None:
    compared = [table.reconcile for table in TABLES if table.reconcile]
    tables = {name for pair in compared for name in (pair.silver, pair.rejected) if name}
    assert read_by(manifest)["reconcile"] == {name.split(".")[-1] for name in tables}


def test_every_gold_table_has_a_reader(manifest: Manifest) -> None:
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    gold = {model["name"] for model in models if model["fqn"][1] == "gold"}
    assert gold
    assert gold <= set().union(*read_by(manifest).values())


def test_bronze_tables_declare_their_source_tables(manifest: Manifest) -> None:
    expected = {MANIFEST_TABLE: [f"postgresql.{table.name}" for table in TABLES]}
    for table in TABLES:
        for name in (table.name, f"{table.name}{CHANGES_SUFFIX}"):
            expected[name] = [f"postgresql.{table.name}"]
    bronze = sources(manifest, "bronze")
    assert {name: bronze[name]["config"]["meta"]["landed_from"] for name in bronze} == expected


def test_the_source_is_described_as_it_is(manifest: Manifest) -> None:
    described = sources(manifest, "postgresql")
    relations = {
        name: f"{table['schema']}.{table['identifier']}" for name, table in described.items()
    }
    assert relations == {table.name: table.source for table in TABLES}
    assert tuple(described["loan_applications"]["columns"]) == TABLE_COLUMNS


def test_bronze_has_the_columns_of_the_source(manifest: Manifest) -> None:
    columns = sources(manifest, "bronze")["loan_applications"]["columns"]
    assert tuple(columns) == (*TABLE_COLUMNS, "_snapshot_id", "_unreadable", "dt")


def test_links_of_the_overview_lead_somewhere(manifest: Manifest) -> None:
    text = manifest["docs"]["doc.loan_lakehouse.__overview__"]["block_contents"]
    links = re.findall(r"\(#!/\w+/([\w.]+)\)", text)
    assert links
    known = [manifest[kind] for kind in ("nodes", "sources", "exposures", "macros")]
    assert [link for link in links if not any(link in kind for kind in known)] == []


def test_source_tables_are_described_grain_first_and_by_column(manifest: Manifest) -> None:
    for table in manifest["sources"].values():
        assert table["description"].startswith("One row per ")
        assert table["columns"]
        assert all(column["description"].strip() for column in table["columns"].values())


@pytest.mark.parametrize("exposure", ["feast_service_loan_approval", "sql_and_bi"])
def test_lineage_leads_from_the_source_to_who_reads_gold(manifest: Manifest, exposure: str) -> None:
    manifest = deepcopy(manifest)
    draw_landing(manifest)
    reached, new = set[str](), {"source.loan_lakehouse.postgresql.loan_applications"}
    while new:
        reached |= new
        new = {child for node in new for child in manifest["child_map"][node]} - reached
    assert f"exposure.loan_lakehouse.{exposure}" in reached
