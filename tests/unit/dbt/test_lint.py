"""What `make lint` says of a model that keeps none of the project's rules. No lake is needed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3] / "dbt_project"
PROGRAMS = Path(sys.executable).parent

# A staging model by its folder, and by nothing else.
LOANS_SQL = """\
with

applications as (

    select * from {{ ref('loan_applications') }}
    {% if is_incremental() %}
        where application_id > (SELECT max(known.id) from {{ this }} as known)
    {% endif %}

)

select application_id as "ID" from applications
"""
LOANS_YML = """\
models:
  - name: loans
    description: All loans.
    config:
      materialized: incremental
    columns:
      - name: ID
        data_type: bigint
exposures:
  - name: report
    type: dashboard
    owner:
      name: Nobody
    depends_on: [ref('loans')]
"""
# A mart that knows bronze, in the wrong folder, its columns nowhere.
MART_SQL = "select application_id from {{ source('bronze', 'loan_applications') }}\n"


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Without the settings of a lake: lint needs none.
    environment = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HOME": os.environ["HOME"]}
    return subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, parsed, with two models that keep no rule."""
    copy = tmp_path_factory.mktemp("lint") / "dbt_project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    (copy / "models/staging/loans.sql").write_text(LOANS_SQL)
    (copy / "models/staging/loans.yml").write_text(LOANS_YML)
    (copy / "models/gold/approvals.sql").write_text(MART_SQL)
    parse = run(
        *("dbt", "--quiet", "--warn-error", "parse"),
        *("--target", "lint", "--target-path", "target/lint"),
        cwd=copy,
    )
    assert parse.returncode == 0, parse.stdout
    return copy


def test_a_model_that_breaks_the_rules_is_named_with_each(broken: Path) -> None:
    found = run(
        *("dbt-bouncer", "run", "--output-only-failures", "--output-file", "found.json"),
        cwd=broken,
    )

    assert found.returncode == 1, found.stdout
    failures = json.loads((broken / "found.json").read_text())
    messages = "\n".join(failure["failure_message"] for failure in failures)
    for complaint in [
        "`loans` references upstream models that are not permitted: ['loan_applications']",
        "`loans` does not match the supplied regex `^stg_",
        """`loans`'s description "All loans." doesn't match the supplied regex: ^One row per""",
        "`loans` has columns that do not have a populated description: ['ID']",
        "`loans` does not have a test for uniqueness of a column",
        "`report` does not have a populated description",
        "`report` is based on a model(s) that is not public: ['loans']",
        "`approvals` references a source even though this is not permitted",
        "Source `bronze.loan_applications` is referenced by more than one model",
        "`approvals` is not located in a valid sub-directory (['features', 'marts', 'stream'])",
        "`approvals` is not declared in a properties file",
    ]:
        assert complaint in messages


def test_every_exception_is_needed(broken: Path) -> None:
    config = yaml.safe_load((PROJECT / "dbt-bouncer.yml").read_text())
    excluded = [check.pop("exclude", []) for check in config["manifest_checks"]]
    (broken / "strict.yml").write_text(yaml.safe_dump(config))

    run(
        *("dbt-bouncer", "run", "--config-file", "strict.yml"),
        *("--output-only-failures", "--output-file", "strict.json"),
        cwd=broken,
    )

    failures = [
        (int(failure["check_run_id"].split(":")[1]), failure["file_path"])
        for failure in json.loads((broken / "strict.json").read_text())
    ]
    for index, patterns in enumerate(excluded):
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            assert any(i == index and re.match(pattern, path) for i, path in failures), pattern


def test_sql_is_linted_as_an_incremental_run_compiles_it(broken: Path) -> None:
    found = run("sqlfluff", "lint", "models/staging/loans.sql", cwd=broken)

    assert found.returncode == 1, found.stdout
    assert "L:   7 | P:  33 | CP01 | Keywords must be lower case." in found.stdout
