"""Flink's SQL says what dbt's says: it is made from it."""

import shutil
from pathlib import Path

import pytest
import yaml

from streaming.definitions import DBT_PROJECT, read_definitions, to_flink
from streaming.errors import StreamingError

FEATURE_TABLES = ("applicant_features", "loan_features", "credit_history_features")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what is read of the dbt project."""
    for name in ("dbt_project.yml", "macros", "seeds", "models/gold/features"):
        source, target = DBT_PROJECT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return tmp_path


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_job_has_every_feature_of_gold_and_no_other() -> None:
    in_gold = []
    for table in FEATURE_TABLES:
        [model] = yaml.safe_load((DBT_PROJECT / f"models/gold/features/{table}.yml").read_text())[
            "models"
        ]
        in_gold += [column["name"] for column in model["columns"][3:]]
    assert [feature.name for feature in read_definitions().features] == in_gold


def test_a_feature_is_golds_expression_in_flinks_words() -> None:
    features = {feature.name: feature for feature in read_definitions().features}
    assert features["age_years"].expression == "CAST(person_age AS BIGINT)"
    assert features["loan_to_income_percent"].expression == (
        "CAST(100 * loan_percent_income AS DOUBLE)"
    )
    band = features["credit_score_band"].expression
    assert band.startswith("CAST(CASE WHEN credit_score < 580 THEN 'poor' WHEN")
    assert band.endswith("ELSE 'excellent' END AS STRING)")
    assert features["has_previous_default"].type == "BOOLEAN"


def test_a_changed_definition_changes_the_job(project: Path) -> None:
    change(project / "dbt_project.yml", "{name: poor, below: 580}", "{name: poor, below: 600}")
    change(project / "macros/to_percent.sql", "100 *", "1000 *")
    change(project / "dbt_project.yml", "person_age > 100", "person_age > 90")
    (project / "seeds/accepted_values.csv").open("a").write("loan_intent,BOAT,0\n")
    definitions = read_definitions(project)
    features = {feature.name: feature.expression for feature in definitions.features}
    assert "credit_score < 600" in features["credit_score_band"]
    assert "1000 * loan_percent_income" in features["loan_to_income_percent"]
    assert "person_age > 90" in definitions.rejections
    assert any("'HOMEIMPROVEMENT', 'BOAT')" in rule for rule in definitions.rejections)


def test_only_rules_that_reject_decide() -> None:
    rejections = read_definitions().rejections
    rules = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]
    severities = [rule["severity"] for rule in rules["loan_application_rules"]]
    assert len(rejections) == severities.count("reject") < len(severities)


def test_a_column_keeps_its_type() -> None:
    columns = {column.name: column for column in read_definitions().columns}
    assert columns["person_gender"].value == columns["person_gender"].text
    assert columns["person_income"].value.endswith("AS DECIMAL(12, 2))")
    assert "AS TIMESTAMP(6))" in columns["updated_at"].value


def test_a_function_that_flink_lacks_is_refused_by_name() -> None:
    with pytest.raises(StreamingError, match=r"rule odd: Flink has no .*WORD_STEM"):
        to_flink("word_stem(person_education) = 'master'", "rule odd")
