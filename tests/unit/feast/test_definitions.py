"""The feature definitions keep what gold's contracts promise. No lake is needed."""

from pathlib import Path

import yaml
from feast.repo_contents import RepoContents

REPO = Path(__file__).resolve().parents[3]
FEATURES = REPO / "dbt_project/models/gold/features"
FEAST_TYPE = {"bigint": "Int64", "double": "Float64", "varchar": "String", "boolean": "Bool"}
NOT_FEATURES = {"application_id", "event_timestamp", "created_timestamp"}


def test_views_have_the_columns_and_types_of_gold(contents: RepoContents) -> None:
    assert len(contents.feature_views) == 3
    for view in contents.feature_views:
        table = view.batch_source.name
        (model,) = yaml.safe_load((FEATURES / f"{table}.yml").read_text())["models"]
        assert {field.name: str(field.dtype) for field in view.features} == {
            column["name"]: FEAST_TYPE[column["data_type"]]
            for column in model["columns"]
            if column["name"] not in NOT_FEATURES
        }


def test_the_leak_is_named_and_left_out_of_the_service_for_models(contents: RepoContents) -> None:
    features = {
        service.name: {
            feature.name
            for projection in service.feature_view_projections
            for feature in projection.features
        }
        for service in contents.feature_services
    }
    assert features["loan_approval_with_leak"] - features["loan_approval"] == {
        "has_previous_default"
    }
    (leak,) = (
        feature
        for view in contents.feature_views
        for feature in view.features
        if feature.name == "has_previous_default"
    )
    assert leak.description.startswith("LEAK")
