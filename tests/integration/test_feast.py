"""Feast over gold: what it reads, offline and online, is what SQL says it is."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from feast import FeatureStore
from small_lake import REPO, SmallLake, small_lake

from feast_repo import show

VIEWS = {
    "applicant": "applicant_features",
    "loan": "loan_features",
    "credit_history": "credit_history_features",
}


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        lake.make_tables()
        yield lake


def feast(repo: Path, *arguments: str) -> str:
    run = subprocess.run(
        [str(Path(sys.executable).with_name("feast")), "-c", str(repo), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def remove_project(store: FeatureStore) -> None:
    """Delete this project and its online tables.

    Not by `feast teardown`: that deletes every project of the registry, whichever
    it is called for, and leaves behind what then stops them from being applied.
    """
    everything = [
        *store.list_feature_services(),
        *store.list_feature_views(),
        *store.list_data_sources(),
        *store.list_entities(),
    ]
    store.apply([], objects_to_delete=everything, partial=False)
    store.registry.delete_project(store.project)


@pytest.fixture(scope="module")
def repo(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The feature repository as another project, over the small lake's gold, applied."""
    repo = Path(shutil.copytree(REPO / "feast_repo", tmp_path_factory.mktemp("feast") / "repo"))
    config = repo / "feature_store.yaml"
    config.write_text(
        config.read_text().replace("project: loan_approval", f"project: {lake.prefix}loans")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLD_SCHEMA", f"{lake.prefix}gold")
        feast(repo, "apply")
        try:
            yield repo
        finally:
            remove_project(FeatureStore(repo_path=str(repo)))


@pytest.fixture(scope="module")
def store(repo: Path) -> FeatureStore:
    """The store, materialised."""
    store = FeatureStore(repo_path=str(repo))
    store.materialize(datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC))
    return store


def read_online(store: FeatureStore, applications: Iterable[int]) -> pd.DataFrame:
    return store.get_online_features(
        features=store.get_feature_service("loan_approval_with_leak"),
        entity_rows=[{"application_id": application} for application in applications],
        full_feature_names=True,
    ).to_df()


def gold(lake: SmallLake) -> pd.DataFrame:
    """All features by application, as SQL reads them."""
    frames = []
    for view, table in VIEWS.items():
        columns = [row[0] for row in lake.query(f"show columns from {lake.gold}.{table}")]
        rows = lake.query(f"select * from {lake.gold}.{table} order by application_id")
        frame = pd.DataFrame(rows, columns=columns).set_index("application_id")
        frames.append(
            frame.drop(columns=["event_timestamp", "created_timestamp"]).add_prefix(f"{view}__")
        )
    return pd.concat(frames, axis="columns").astype(object)


def test_applying_again_changes_nothing(repo: Path, store: FeatureStore) -> None:
    # Not what `feast apply` prints: it always claims to have updated everything.
    def registered() -> dict[str, object]:
        fresh = FeatureStore(repo_path=str(repo))
        return {
            f"{type(thing).__name__} {thing.name}": thing
            for things in (
                fresh.list_entities(),
                fresh.list_data_sources(),
                fresh.list_feature_views(),
                fresh.list_feature_services(),
            )
            for thing in things
        }

    before = registered()
    assert len(before) == 1 + 3 + 3 + 2
    feast(repo, "apply")
    # A view equals another only if it was materialised for the same times.
    assert registered() == before
    assert read_online(store, [1]).credit_history__credit_score.tolist() == [601]


def test_features_are_those_of_the_point_in_time(lake: SmallLake, store: FeatureStore) -> None:
    # Of each application: the moment before it became what it is, that moment, and
    # one later. Feast cuts the latest of all moments to milliseconds, and then
    # does not see what happened within the last one.
    entities = f"""
        select
            application_id,
            event_timestamp + shift as event_timestamp,
            moment
        from {lake.gold}.applicant_features
        cross join (
            values
            ('before', interval '-0.001' second),
            ('at', interval '0' second),
            ('after', interval '1' second)
        ) as moments (moment, shift)
    """
    rows = store.get_historical_features(
        entity_df=entities,
        features=store.get_feature_service("loan_approval_with_leak"),
        full_feature_names=True,
    ).to_df()

    expected = gold(lake)
    read = {
        moment: part.set_index("application_id").sort_index()[expected.columns].astype(object)
        for moment, part in rows.groupby("moment")
    }
    assert read["before"].isna().all(axis=None)
    pd.testing.assert_frame_equal(read["at"], expected)
    pd.testing.assert_frame_equal(read["after"], expected)


def test_online_features_are_those_of_gold(lake: SmallLake, store: FeatureStore) -> None:
    expected = gold(lake)
    read = read_online(store, expected.index).set_index("application_id")
    pd.testing.assert_frame_equal(read[expected.columns].astype(object), expected)


def test_a_rejected_application_is_not_served(store: FeatureStore) -> None:
    features = store.get_online_features(
        features=store.get_feature_service("loan_approval"), entity_rows=[{"application_id": 6}]
    ).to_dict()
    assert features.pop("application_id") == [6]
    assert set(map(tuple, features.values())) == {(None,)}


def test_show_prints_what_is_read(
    repo: Path,
    store: FeatureStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(show, "REPO", repo)
    monkeypatch.setenv("COLUMNS", "100")

    assert show.main(["--application-id", "2", "--as-of", "2024-01-31T23:59:59"]) == 0
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["credit_score", "—", "702"] in lines

    assert show.main(["--application-id", "6"]) == 1
    assert "rejected" in capsys.readouterr().out
