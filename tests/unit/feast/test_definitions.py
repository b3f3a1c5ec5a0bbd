"""The feature definitions are what gold's contracts promise. No lake is needed."""

import os
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_contents import RepoContents
from feast.types import UnixTimestamp

from feast_repo import contracts
from feast_repo.store import source_of

FEAST_TYPE = {"bigint": "Int64", "double": "Float64", "varchar": "String", "boolean": "Bool"}
NOT_FEATURES = {"application_id", "segment", "event_timestamp", "created_timestamp"}


def columns(manifest: dict[str, Any], table: str) -> dict[str, Any]:
    found: dict[str, Any] = manifest["nodes"][f"model.loan_lakehouse.{table}"]["columns"]
    return found


def names(service: Any) -> list[tuple[str, list[str]]]:
    return [
        (projection.name, [feature.name for feature in projection.features])
        for projection in service.feature_view_projections
    ]


def test_views_have_the_columns_types_and_descriptions_of_gold(
    contents: RepoContents, manifest: dict[str, Any]
) -> None:
    assert len(contents.feature_views) == 4
    for view in contents.feature_views:
        table = source_of(view).name
        model = manifest["nodes"][f"model.loan_lakehouse.{table}"]
        assert view.description == model["description"].strip()
        assert [(field.name, str(field.dtype), field.description) for field in view.features] == [
            (column["name"], FEAST_TYPE[column["data_type"]], column["description"].strip())
            for column in model["columns"].values()
            if column["name"] not in NOT_FEATURES
        ]


def test_the_history_has_the_same_columns(contents: RepoContents, manifest: dict[str, Any]) -> None:
    """Feast joins the history; a feature that it lacks would fail when a model is trained."""
    history = columns(manifest, "historical_features")
    current: dict[str, Any] = {}
    of_applications = [view for view in contents.feature_views if view.online]
    assert len(of_applications) == 3
    for view in of_applications:
        assert source_of(view).table.endswith(".historical_features")
        current |= columns(manifest, source_of(view).name)
    promised = [
        {name: column["data_type"] for name, column in found.items() if name != "is_current"}
        for found in (history, current)
    ]
    assert promised[0] == promised[1]


def test_the_leak_is_named_and_kept_from_models(contents: RepoContents) -> None:
    leaks = {
        feature.name
        for view in contents.feature_views
        for feature in view.features
        if feature.tags.get("leak") == "True"
    }
    assert leaks == {"has_previous_default"}
    for service in contents.feature_services:
        asked_for = {name for _, features in names(service) for name in features}
        assert leaks & asked_for == (leaks if service.name == "loan_approval_with_leak" else set())


def test_a_model_is_scored_with_what_it_was_trained_with(contents: RepoContents) -> None:
    services = {service.name: names(service) for service in contents.feature_services}
    assert services["loan_approval"] == services["loan_approval_training"]
    assert [view for view, _ in services["loan_approval"]] == [
        "applicant",
        "loan",
        "credit_history",
        "request_ratios",
    ]


def test_everything_is_described_and_owned(contents: RepoContents) -> None:
    ours = [entity for entity in contents.entities if entity.name != "__dummy"]
    things: list[Any] = [
        *ours,
        *contents.data_sources,
        *contents.feature_views,
        *contents.on_demand_feature_views,
        *contents.feature_services,
    ]
    for thing in things:
        assert thing.owner == "Loan lakehouse", thing.name
        assert thing.description, thing.name


@pytest.fixture
def ratios(contents: RepoContents) -> OnDemandFeatureView:
    [view] = contents.on_demand_feature_views
    return view


def test_ratios_are_of_the_request(ratios: OnDemandFeatureView) -> None:
    """None of what is absent, nor of an income of nothing."""
    given = {
        "requested_amount": [30_000.0, None, 5.0, 5.0],
        "annual_income": [60_000.0, 1.0, None, 0.0],
        "loan_amount": [15_000.0, 1.0, 10.0, None],
    }
    assert ratios.feature_transformation
    made = ratios.feature_transformation.udf(given)
    assert made == {
        "requested_to_income_percent": [50.0, None, None, None],
        "requested_to_applied_percent": [200.0, None, 50.0, None],
    }
    assert {field.name for field in ratios.features} == set(made)


def test_a_type_that_feast_cannot_serve_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    column = {"data_type": "decimal(12,2)", "description": "", "config": {"meta": {}}}
    monkeypatch.setattr(contracts, "contract", lambda _: {"columns": {"x": column}})
    with pytest.raises(KeyError, match="decimal"):
        contracts.features("any")
    column["data_type"] = "timestamp(6) with time zone"
    assert contracts.features("any")[0].dtype == UnixTimestamp


@pytest.fixture
def read_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, manifest_file: Path) -> Path:
    """The manifest that contracts are read from: a copy."""
    file = tmp_path / "manifest.json"
    file.write_bytes(manifest_file.read_bytes())
    monkeypatch.setattr(contracts, "MANIFEST", file)
    return file


def test_a_contract_that_dbt_has_not_read_is_an_error_with_a_hint(read_by: Path) -> None:
    assert contracts.features("loan_features")
    os.utime(read_by, (0, 0))
    with pytest.raises(
        ClickException, match=r"has changed since dbt last read it\n  -> `dbt build`"
    ):
        contracts.features("loan_features")
    with pytest.raises(ClickException, match=r"has no model no_such\n  -> `dbt build`"):
        contracts.features("no_such")


def test_without_a_manifest_the_error_has_a_hint(read_by: Path) -> None:
    read_by.unlink()
    with pytest.raises(ClickException, match=r"has not read its project yet: .*\n  -> `dbt build`"):
        contracts.description("loan_features")
    read_by.write_text('{"metadata": {')
    with pytest.raises(ClickException, match=r"is incomplete: dbt is writing it\n  -> try again"):
        contracts.description("loan_features")
