"""`python -m infra.kubernetes` on stand-ins of kubectl and Helm that write down what they are told.

What a cluster makes of it is not tested here.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.kubernetes.__main__ import REMOVED, app
from infra.paths import REPO
from tests.kubernetes.release import Release

STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >> "{log}"
case "$*" in
  *--context=unknown*) echo "no context" >&2; exit 1 ;;
  "config view"*) printf https://cluster.example ;;
  *apply*) cat >> "{log}" ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-ins were told, in the order in which they were."""
    log = tmp_path / "log"
    log.touch()
    for name in ("kubectl", "helm"):
        (tmp_path / name).write_text(STAND_IN.format(log=log))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("infra.kubernetes.__main__.helm", lambda: str(tmp_path / "helm"))
    return log


def run(*arguments: str, answer: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, input=answer)
    return result.exit_code, result.output


@pytest.mark.parametrize("command", ["up", "status", "down"])
def test_a_context_must_be_given(command: str, log: Path) -> None:
    code, output = run(command)
    assert code == 2
    assert "--context" in output
    assert log.read_text() == ""


@pytest.mark.parametrize("command", ["up", "down"])
def test_the_cluster_is_named_and_nothing_happens_without_a_yes(command: str, log: Path) -> None:
    code, output = run(command, "--context=prod", answer="n\n")
    assert code == 1
    assert "https://cluster.example (context prod), namespace lakehouse" in output
    assert [line.split()[:3] for line in log.read_text().splitlines()] == [
        ["kubectl", "config", "view"]
    ]


def test_up_makes_a_restricted_namespace_and_then_installs(log: Path) -> None:
    code, _ = run("up", "--context=test", "--namespace=mine", "--with=scoring", answer="y\n")
    assert code == 0
    told = log.read_text()
    assert "name: mine\n" in told
    assert "enforce: restricted" in told
    [install] = [line for line in told.splitlines() if line.startswith("helm upgrade --install")]
    assert told.index("enforce: restricted") < told.index(install)
    assert "--kube-context=test --namespace=mine " in install
    assert "--wait --wait-for-jobs" in install
    assert "values/local.yaml" in install
    assert "--set workloads.scoring.enabled=true" in install


def test_up_of_an_unknown_context_is_one_line(log: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.kubernetes", "down", "--context=unknown"],
        cwd=REPO,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: kubectl knows no context unknown")
    assert len(done.stderr.splitlines()) <= 2
    assert "uninstall" not in log.read_text()


def test_down_keeps_data(log: Path) -> None:
    code, output = run("down", "--context=test", answer="y\n")
    assert code == 0
    assert "Its data stay" in output
    assert "helm uninstall lakehouse" in log.read_text()
    [deletion] = [line for line in log.read_text().splitlines() if " delete " in line]
    assert "--selector=app.kubernetes.io/managed-by=Helm" in deletion
    assert not re.search("secret|claim|volume|namespaces?,", deletion)


def test_down_removes_every_kind_of_the_chart_but_the_secret(release: Release) -> None:
    kinds = {document["kind"].lower() for document in release.documents} - {"secret"}
    plurals = {name.partition(".")[0] for name in REMOVED}
    assert plurals == {re.sub("y$", "ie", kind) + "s" for kind in kinds}


def test_a_package_is_the_chart_with_its_files(tmp_path: Path) -> None:
    assert run("package", str(tmp_path / "new"))[0] == 0
    chart = tmp_path / "new/lakehouse"
    file = "trino/catalog/iceberg.properties"
    assert (chart / "infra" / file).read_text() == (REPO / "infra" / file).read_text()
    assert (chart / "values/gke.yaml").exists()
    assert run("package", str(tmp_path / "new"))[0] == 1  # it replaces nothing


def test_make_gives_the_context_on(tmp_path: Path) -> None:
    shown = subprocess.check_output(
        ["make", "--dry-run", "k8s-up", "K8S_CONTEXT=test", "VALUES=gke"], cwd=REPO, text=True
    )
    *_, told = shown.splitlines()  # the environment may be set up before
    assert told.split()[1:] == [
        "-m",
        "infra.kubernetes",
        "up",
        "--context",
        "test",
        "--values",
        "gke",
    ]
    refused = subprocess.run(
        ["make", "k8s-up"], cwd=REPO, text=True, capture_output=True, check=False
    )
    assert refused.returncode != 0
    assert "K8S_CONTEXT" in refused.stderr
