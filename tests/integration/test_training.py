"""From the lake to a champion and its scores, on a small lake of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect

from ml import registry as ml_registry
from ml.settings import load_settings
from tests.integration.served_lake import served
from tests.integration.small_lake import SmallLake
from tests.integration.trained_lake import (
    decided_lake,
    environment_of,
    landed_scores,
    ml,
    write_settings,
)
from tests.stack import delete_objects

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with decided_lake() as lake:
        yield lake


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_settings(tmp_path_factory.mktemp("ml"))


@pytest.fixture(scope="module")
def stack_of_lake(
    lake: SmallLake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment in which our commands meet the small lake."""
    with served(lake, tmp_path_factory.mktemp("feast")):
        yield environment_of(lake)


@pytest.fixture(scope="module")
def trained(stack_of_lake: dict[str, str], settings: Path) -> str:
    done = ml(stack_of_lake, "train", "--settings", str(settings))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def registry(
    trained: str, stack_of_lake: dict[str, str], settings: Path
) -> Iterator[ml_registry.Registry]:
    with ml_registry.connected(stack_of_lake, load_settings(settings)) as found:
        yield found


def test_a_run_ends_with_a_champion_and_says_where_to_look(
    trained: str, registry: ml_registry.Registry
) -> None:
    assert "version 1 is champion" in trained
    assert f"{registry.url}/#/models/{registry.model}/versions/1" in trained
    champion = registry.champion()
    card = registry.artifact(champion, "card.html").decode()
    assert "declines" in card and "previous_default" in card
    assert card.count('src="data:image/png') == 8


def test_the_run_says_what_it_was_trained_on(
    registry: ml_registry.Registry, lake: SmallLake
) -> None:
    champion = registry.champion()
    recorded = registry.client.get_run(str(champion.run_id)).data.params
    [[snapshot]] = lake.query(
        f"select snapshot_id from {lake.gold}.\"historical_features$refs\" where name = 'main'"
    )
    assert recorded[f"iceberg_snapshots.{lake.gold}.historical_features"] == str(snapshot)
    assert recorded["rows"] == "3000"
    assert recorded["training_set_sha256"] == champion.tags["training_set_sha256"]


def test_the_same_training_set_gives_the_same_model(
    registry: ml_registry.Registry,
    stack_of_lake: dict[str, str],
    settings: Path,
    tmp_path: Path,
) -> None:
    champion = registry.champion()
    file = tmp_path / "training_set.parquet"
    file.write_bytes(registry.artifact(champion, "training_set.parquet"))
    arguments = ["--settings", str(settings), "--training-set", str(file), "--manual"]
    done = ml(stack_of_lake, "train", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROMOTE=manual" in done.stdout
    again = registry.version(2)
    for name in ("model.txt", "model.onnx", "parameters.json", "training_set.parquet"):
        assert registry.artifact(again, name) == registry.artifact(champion, name), name
    assert registry.champion().version == champion.version

    assert (
        "version 2 is champion"
        in ml(stack_of_lake, "promote", "--version", "2", "--settings", str(settings)).stdout
    )
    shown = ml(stack_of_lake, "compare", "1", "2", "--settings", str(settings)).stdout
    assert "training_set_sha256" in shown
    assert (
        "version 1 is champion again"
        in ml(stack_of_lake, "rollback", "--settings", str(settings)).stdout
    )


def test_what_a_killed_run_leaves_is_never_champion(
    registry: ml_registry.Registry, stack_of_lake: dict[str, str], settings: Path
) -> None:
    """A version exists, its evidence is not complete: the moment at which the run was killed."""
    champion = registry.champion()
    half = registry.client.create_model_version(
        registry.model, str(champion.source), champion.run_id
    )
    done = ml(stack_of_lake, "promote", "--version", str(half.version), "--settings", str(settings))
    assert done.returncode == 1
    assert f"version {half.version} is not complete" in done.stderr
    assert registry.champion().version == champion.version


def test_a_model_that_fails_a_gate_stays_challenger_and_the_run_is_green(
    registry: ml_registry.Registry, stack_of_lake: dict[str, str], settings: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load(settings.read_text())
    content["gates"]["minimum_auc"] = 0.999
    strict = tmp_path / "settings.yml"
    strict.write_text(yaml.safe_dump(content))
    champion = registry.champion()
    done = ml(stack_of_lake, "train", "--settings", str(strict))
    assert done.returncode == 0, done.stderr
    assert "not promoted: its AUC is" in done.stdout
    assert registry.champion().version == champion.version
    challenger = registry.by_alias("challenger")
    assert challenger and challenger.tags["gates"] == "failed"
    done = ml(
        stack_of_lake, "promote", "--version", challenger.version, "--settings", str(settings)
    )
    assert done.returncode == 1 and "failed a gate: its AUC is" in done.stderr


@pytest.fixture
def scored_bronze() -> Iterator[Any]:
    """The keys of the objects that a test lands."""
    with landed_scores() as keys:
        yield keys


def test_scores_land_once_however_often_they_are_asked_for(
    registry: ml_registry.Registry,
    stack_of_lake: dict[str, str],
    settings: Path,
    lake: SmallLake,
    scored_bronze: Any,
) -> None:
    first = ml(stack_of_lake, "score", "--settings", str(settings))
    assert first.returncode == 0, first.stdout + first.stderr
    assert "scored 3,000 applications" in first.stdout
    landed = scored_bronze()
    again = ml(stack_of_lake, "score", "--settings", str(settings))
    assert "nothing new" in again.stdout
    assert scored_bronze() == landed

    # Killed before the record of the run: all of it again, and nothing lands twice.
    [record] = [key for key in landed if key.startswith("loan_score_runs/")]
    delete_objects(os.environ["BRONZE_BUCKET"], [record])
    once_more = ml(stack_of_lake, "score", "--settings", str(settings))
    assert once_more.returncode == 0, once_more.stderr
    assert scored_bronze() == landed

    decided = dict(
        lake.query(
            "select decision, count(*) from hive.bronze.loan_scores"
            f" where run_id like '%{record.rsplit('-', 1)[1].removesuffix('.json')}' group by 1"
        )
    )
    [[defaulted]] = lake.query(
        f"select count_if(has_previous_default) from {lake.gold}.credit_history_features"
    )
    assert sum(decided.values()) == 3_000
    assert decided["decline"] > defaulted > 0
    assert decided["approve"] > 0


@pytest.mark.parametrize("command", [["score"], ["rollback"], ["promote", "--version", "7"]])
def test_without_a_model_a_command_says_what_to_do(
    stack_of_lake: dict[str, str], settings: Path, tmp_path: Path, command: list[str]
) -> None:
    content = yaml.safe_load(settings.read_text()) | {"model": "test_nobody_trained_it"}
    other = tmp_path / "settings.yml"
    other.write_text(yaml.safe_dump(content))
    done = ml(stack_of_lake, *command, "--settings", str(other))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr and "->" in done.stderr


def test_a_lake_that_nobody_built_is_named(stack_of_lake: dict[str, str], settings: Path) -> None:
    env = {**stack_of_lake, "SILVER_SCHEMA": "test_nobody_built_it"}
    done = ml(env, "train", "--settings", str(settings))
    assert done.returncode == 1
    assert "Trino refuses" in done.stderr and "Traceback" not in done.stderr


def test_without_mlflow_a_command_says_so(stack_of_lake: dict[str, str], settings: Path) -> None:
    env = {**stack_of_lake, "MLFLOW_PORT": "1", "MLFLOW": "0"}
    done = ml(env, "list", "--settings", str(settings))
    assert done.returncode == 1
    assert "make up MLFLOW=1" in done.stderr


@pytest.mark.slow
def test_the_version_and_its_card_open_in_a_browser(
    registry: ml_registry.Registry, browser: Browser
) -> None:
    champion = registry.champion()
    context = browser.new_context(
        http_credentials={
            "username": os.environ["MLFLOW_ADMIN_USER"],
            "password": os.environ["MLFLOW_ADMIN_PASSWORD"],
        }
    )
    page = context.new_page()
    page.goto(registry.page(champion))
    expect(page.get_by_text(registry.model).first).to_be_visible()
    expect(page.get_by_text(f"Version {champion.version}").first).to_be_visible()
    page.set_content(registry.artifact(champion, "card.html").decode())
    expect(page.get_by_text("The policy rule")).to_be_visible()
    shown = page.evaluate("[...document.images].every(image => image.naturalWidth > 100)")
    assert shown
    context.close()
