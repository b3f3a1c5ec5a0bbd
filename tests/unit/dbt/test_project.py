"""What lint (dbt-bouncer.yml) cannot say of the dbt project. No lake is needed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3] / "dbt_project"
RULES = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["loan_application_rules"]


def unit_tests(model: str) -> dict[str, Any]:
    (file,) = (PROJECT / "models").rglob(f"{model}.yml")
    return {test["name"]: test for test in yaml.safe_load(file.read_text())["unit_tests"]}


def names(severity: str) -> list[str]:
    return [rule["name"] for rule in RULES if rule["severity"] == severity]


@pytest.mark.parametrize("rule", names("reject"))
def test_every_rule_is_in_the_unit_test_of_rules(rule: str) -> None:
    test = unit_tests("int_loan_applications__state")["every_rule_has_two_sides"]
    assert [rule] in [row["broken_rules"] for row in test["expect"]["rows"]]


@pytest.mark.parametrize("rule", names("warn"))
def test_every_warning_is_in_the_unit_test_of_warnings(rule: str) -> None:
    test = unit_tests("loan_application_broken_rules")["every_warning_has_two_sides"]
    assert f",{rule},warn\n" in test["expect"]["rows"]


def test_without_a_selection_dbt_takes_all_but_unit_tests_and_scores(
    manifest: dict[str, Any], tmp_path: Path
) -> None:
    """Sources too: `dbt source freshness` would else look at none, and not say so."""
    dbt = str(Path(sys.executable).with_name("dbt"))
    command = [dbt, "--quiet", f"--log-path={tmp_path}", "ls", "--output=json"]
    command += ["--output-keys=unique_id", "--target=lint", f"--target-path={tmp_path}"]
    listed = subprocess.check_output(command, cwd=PROJECT, text=True, stderr=subprocess.DEVNULL)
    selected = {yaml.safe_load(line)["unique_id"] for line in listed.splitlines()}
    everything = manifest["nodes"] | manifest["sources"] | manifest["exposures"]
    scores = {name for name, node in everything.items() if "scores" in node.get("tags", [])}
    tests_of_scores = {
        name
        for name, node in everything.items()
        if node["resource_type"] == "test" and scores & {*node["depends_on"]["nodes"]}
    }
    operations = {name for name, node in everything.items() if node["resource_type"] == "operation"}
    assert len(scores) > 5 and tests_of_scores
    assert selected == everything.keys() - scores - tests_of_scores - operations


class Exceptions:
    """dbt's `exceptions`, as the macros see it."""

    @staticmethod
    def raise_compiler_error(message: str) -> None:
        raise ValueError(message)


def broken_rules(rules: list[dict[str, str]], severity: str) -> str:
    # No autoescape: this is SQL, not HTML.
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])  # noqa: S701
    macros = environment.from_string(
        (PROJECT / "macros/broken_rules.sql").read_text(), globals={"exceptions": Exceptions}
    )
    render = vars(macros.module)["broken_rules"]
    return " ".join(render(rules, severity).split())


GOOD = {"name": "old", "severity": "reject", "predicate": "age > 100", "reason": "Too old."}


def test_only_rules_of_the_severity_are_rendered() -> None:
    rules = [GOOD, GOOD | {"name": "odd", "severity": "warn", "predicate": "age < 18"}]
    rendered = "filter( cast(array[ if({}, '{}') ] as array(varchar)), rule -> rule is not null )"
    assert broken_rules(rules, "reject") == rendered.format("age > 100", "old")
    assert broken_rules(rules, "warn") == rendered.format("age < 18", "odd")


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ([GOOD | {"severity": "rejct"}], 'Rule old has the severity "rejct"'),
        ([GOOD | {"reason": ""}], "has no reason"),
        ([GOOD, GOOD], "Two rules are named old"),
    ],
)
def test_a_slip_in_the_rules_stops_dbt(rules: list[dict[str, str]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        broken_rules(rules, "reject")
