"""What dbt's `meta` says of upkeep becomes statements, or one clear error."""

from typing import Any

import pytest
from dotenv import dotenv_values

from infra.env import EXAMPLE
from infra.errors import LakehouseError
from infra.upkeep import DbtTable, declared, upkeep_of


def node(**meta: Any) -> dict[str, Any]:
    return {"alias": "orders", "config": {"meta": meta}}


def test_every_table_of_dbt_declares_its_upkeep() -> None:
    tables = declared({key: value or "" for key, value in dotenv_values(EXAMPLE).items()})
    names = {str(table) for table in tables}
    assert {"silver.int_loan_applications__state", "gold.loan_features"} <= names
    assert "silver.loan_applications" not in names  # a view
    # Snapshots pile up in all of them.
    assert all({"expire_snapshots", "remove_orphan_files"} <= set(t.upkeep) for t in tables)


def test_statements_come_in_the_order_in_which_they_help() -> None:
    upkeep = {
        "remove_orphan_files": {"retention_threshold": "1d"},
        "analyze": True,
        "expire_snapshots": False,
        "optimize": {"file_size_threshold": "100MB"},
    }
    where = "iceberg.gold.orders"
    assert list(DbtTable("iceberg", "gold", "orders", upkeep).statements().values()) == [
        f"alter table {where} execute optimize(file_size_threshold => '100MB')",
        f"analyze {where}",
        f"alter table {where} execute remove_orphan_files(retention_threshold => '1d')",
    ]


@pytest.mark.parametrize(
    ("meta", "complaint"),
    [
        ({}, "meta.upkeep of orders has None"),
        ({"upkeep": {"optimise": True, "analyze": True}}, "meta.upkeep of orders has optimise\n"),
        ({"upkeep": ["optimize"]}, "has ['optimize']"),
    ],
)
def test_an_invalid_declaration_is_an_error_before_anything_runs(
    meta: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(LakehouseError) as raised:
        upkeep_of(node(**meta))
    assert complaint in str(raised.value)
    assert "optimize, analyze, expire_snapshots, remove_orphan_files" in str(raised.value)
