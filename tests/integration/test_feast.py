"""Feast over gold: what it reads, offline and online, is what SQL says it is."""

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from feast import FeatureStore, FeatureView, Field
from feast.infra.offline_stores.contrib.trino_offline_store.trino_source import TrinoSource

from feast_repo import show
from feast_repo.consistency import differences
from feast_repo.contracts import FEAST_TYPE, NOT_FEATURES
from feast_repo.store import online_store, source_of
from tests.integration.served_lake import command, feast, materialize_views, served
from tests.integration.small_lake import IMAGE, SmallLake, small_lake

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


@pytest.fixture(scope="module")
def repo(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with served(lake, tmp_path_factory.mktemp("feast")) as repo:
        yield repo


@pytest.fixture(scope="module")
def store(repo: Path) -> FeatureStore:
    """The store, materialised."""
    store = FeatureStore(repo_path=str(repo))
    assert {name: done.written for name, done in materialize_views(store).items()} == dict.fromkeys(
        VIEWS, 4
    )
    return store


def read_online(store: FeatureStore, applications: Iterable[int]) -> pd.DataFrame:
    return store.get_online_features(
        features=store.get_feature_service("loan_approval_with_leak"),
        entity_rows=[{"application_id": application} for application in applications],
        full_feature_names=True,
    ).to_df()


def execute(store: FeatureStore, statement: str) -> None:
    with online_store(store).connection(store.config) as connection:
        connection.execute(statement)


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
                fresh.list_on_demand_feature_views(),
                fresh.list_feature_services(),
            )
            for thing in things
        }

    before = registered()
    assert len(before) == 2 + 5 + 4 + 1 + 3
    feast(repo, "apply")
    # A view equals another only if it was materialised for the same times.
    assert registered() == before
    assert read_online(store, [1]).credit_history__credit_score.tolist() == [601]


def test_materialising_with_apply_applies_first(repo: Path) -> None:
    other = FeatureStore(repo_path=str(repo))
    name = other.list_feature_services()[0].name
    other.delete_feature_service(name)
    for arguments, known in ([], False), (["--apply"], True):
        done = command("materialize", *arguments)
        assert done.returncode == 0, done.stderr
        services = FeatureStore(repo_path=str(repo)).list_feature_services()
        assert (name in [service.name for service in services]) == known


def test_features_are_those_of_the_point_in_time(lake: SmallLake, store: FeatureStore) -> None:
    # Of each application: the moment before it became what it is, that moment, and one later.
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
    # Of 2 an earlier snapshot has the version before.
    assert read["before"].drop(2).isna().all(axis=None)
    assert read["before"].loc[2, "credit_history__credit_score"] == 602
    pd.testing.assert_frame_equal(read["at"], expected)
    pd.testing.assert_frame_equal(read["after"], expected)


def test_online_features_are_those_of_gold(lake: SmallLake, store: FeatureStore) -> None:
    expected = gold(lake)
    read = read_online(store, expected.index).set_index("application_id")
    pd.testing.assert_frame_equal(read[expected.columns].astype(object), expected)


def test_a_rejected_application_is_not_served(store: FeatureStore) -> None:
    features = store.get_online_features(
        features=store.get_feature_service("loan_approval"),
        entity_rows=[{"application_id": 6, "requested_amount": 1000.0}],
    ).to_dict()
    assert features.pop("application_id") == [6]
    assert set(map(tuple, features.values())) == {(None,)}


def test_ratios_of_the_request_are_computed_in_scoring_and_in_training(
    store: FeatureStore,
) -> None:
    online = store.get_online_features(
        features=store.get_feature_service("loan_approval"),
        entity_rows=[{"application_id": 1, "requested_amount": 17987.0}],
    ).to_dict()
    offline = store.get_historical_features(
        entity_df=(
            "select bigint '1' as application_id, 17987e0 as requested_amount,"
            " timestamp '2026-01-03 00:00:00 UTC' as event_timestamp"
        ),
        features=store.get_feature_service("loan_approval_training"),
    ).to_df()
    for read in (online, offline):
        assert read["requested_to_income_percent"][0] == 25.0
        assert read["requested_to_applied_percent"][0] == pytest.approx(51.39142857)
    assert set(online) <= set(offline.columns) | {"requested_amount"}


def test_show_prints_what_is_read(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert show.main(["--application-id", "2", "--as-of", "2024-01-31T23:59:59"]) == 0
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["credit_score", "602", "702"] in lines
    assert show.main(["--application-id", "2", "--as-of", "2024-01-01"]) == 0
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["credit_score", "—", "702"] in lines

    assert show.main(["--application-id", "6"]) == 1
    assert "rejected" in capsys.readouterr().out

    personal = ("--segment", "loan_purpose=PERSONAL")
    assert show.main([*personal, "--as-of", "2024-01-01T00:30:00"]) == 0
    lines = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["applications_10m", "0", "0"] in lines
    assert ["applications_1h", "3", "0"] in lines
    assert ["average_amount_24h", "35000.0", "—"] in lines
    assert show.main(["--segment", "loan_purpose=BOAT"]) == 1
    assert "no such segment" in capsys.readouterr().out


def test_an_inconsistent_store_is_found_and_corrected(store: FeatureStore) -> None:
    assert list(differences(store)) == []
    done = command("consistency")
    assert (done.returncode, done.stdout) == (
        0,
        "online = gold, for all applications, value by value\n",
    )
    table = f"{store.project}_credit_history"
    execute(store, f"update {table} set credit_score = 850 where application_id = 1")
    execute(store, f"delete from {table} where application_id = 2")
    execute(store, f"insert into {table} (application_id) values (99)")
    found = [(one.key, one.feature, one.gold, one.online) for one in differences(store)]
    assert sorted(found, key=str) == [
        (1, "credit_score", 601, 850),
        (2, "all", "there", "not there"),
        (99, "all", "not there", "there"),
    ]
    done = command("consistency")
    assert done.returncode == 1
    assert "credit_score" in done.stdout
    # The number of rows is right again only by chance: a checksum sees all but the update.
    assert command("materialize", "--all").returncode == 0
    assert list(differences(store)) == []


def test_materialising_follows_gold_and_no_more(lake: SmallLake, store: FeatureStore) -> None:
    """A change, one that breaks a rule, a deletion and a new application."""
    for key, op, lsn, score in ((1, "u", 901, 999), (2, "u", 902, 650), (7, "c", 904, 707)):
        image = {"application_id": key, **IMAGE, "credit_score": score}
        lake.land_change(key, op, lsn, json.dumps(image))
    lake.land_change(3, "d", 903, "null")
    lake.make_tables()
    done = materialize_views(store)
    # All four are of one bucket, and so is the fifth, which is written again.
    assert {name: (one.removed, one.written) for name, one in done.items()} == dict.fromkeys(
        VIEWS, (4, 3)
    )
    scores = read_online(store, [1, 2, 3, 5, 7]).credit_history__credit_score
    assert scores.fillna(0).tolist() == [0, 650, 0, 705, 707]
    assert list(differences(store)) == []
    again = materialize_views(store)
    assert {(one.removed, one.written) for one in again.values()} == {(0, 0)}

    # What was true of them before is still joined; what was deleted is gone from then on.
    rows = store.get_historical_features(
        entity_df=(
            "select * from (values (bigint '1', timestamp '2026-01-05 00:00:00 UTC'),"
            " (3, timestamp '2026-01-05 00:00:00 UTC'), (1, current_timestamp + interval '1' day),"
            " (3, current_timestamp + interval '1' day)) as t (application_id, event_timestamp)"
        ),
        features=["credit_history:credit_score"],
    ).to_df()
    rows = rows.sort_values(["application_id", "event_timestamp"])
    assert rows.credit_score.fillna(0).tolist() == [601, 0, 603, 0]


def test_feasts_own_way_of_writing_is_read_too(lake: SmallLake, store: FeatureStore) -> None:
    """And what it wrote is no more believed to be gold's: the next run writes it again."""
    store.write_to_online_store(
        "credit_history",
        pd.DataFrame(
            {
                "application_id": [1234567],
                "event_timestamp": [pd.Timestamp("2026-01-01", tz="UTC")],
                "created_timestamp": [pd.Timestamp("2026-01-01", tz="UTC")],
                "credit_score": [555],
                "credit_score_band": ["poor"],
                "credit_history_years": [1],
                "has_previous_default": [True],
            }
        ),
    )
    assert read_online(store, [1234567]).credit_history__credit_score.tolist() == [555]
    assert materialize_views(store)["credit_history"].removed == 1
    assert read_online(store, [1234567]).credit_history__credit_score.isna().all()


LIMITS = """
create table {gold}.limits as
select
    application_id,
    timestamp '2026-01-01 00:00:00.000001 UTC' as event_timestamp,
    timestamp '2026-01-01 00:00:00.000001 UTC' as created_timestamp,
    whole, number, cast(words as varchar) as words, truth, moment
from (
    values
    (bigint '9223372036854775807', bigint '9223372036854775807', 1.7976931348623157E308, 'a', true,
     timestamp '9999-12-31 23:59:59.000000 UTC'),
    (bigint '-9223372036854775808', bigint '-9223372036854775808', 4.9E-324, '', false,
     timestamp '0001-01-01 00:00:00.000000 UTC'),
    (0, 0, -0E0, U&'tab\\0009 newline\\000A return\\000D \\\\N backslash\\\\ \\+01F600 ''"', null,
     timestamp '1969-12-31 23:59:59.000000 UTC'),
    (1, 9007199254740993, 0.1E0, '\\N', true, null),
    (2, null, infinity(), null, true, null),
    (3, 3, -infinity(), 'null', false, null),
    (4, 4, 16.02E0, U&'\\00e4', true, null)
) as row (application_id, whole, number, words, truth, moment)
"""


def test_golds_types_survive_at_their_limits(lake: SmallLake, store: FeatureStore) -> None:
    lake.query(LIMITS.format(gold=lake.gold))
    types = dict(row[:2] for row in lake.query(f"show columns from {lake.gold}.limits"))
    table = f"{lake.gold}.limits"
    view = FeatureView(
        name="limits",
        entities=[store.get_entity("application")],
        ttl=timedelta(days=3650),
        source=TrinoSource(
            name="limits",
            table=table,
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
            tags={"current": table},
        ),
        schema=[field_of(name, kind) for name, kind in types.items() if name not in NOT_FEATURES],
    )
    store.apply([view])
    try:
        assert materialize_views(store)["limits"].written == 7
        assert [one for one in differences(store) if one.feature != "moment"] == []
        names = [field.name for field in view.features]
        with online_store(store).connection(store.config) as connection:
            online = connection.execute(
                f"select application_id, {', '.join(names[:-1])} from {store.project}_limits"
                " order by 1"
            ).fetchall()
        rows = lake.query(f"select application_id, {', '.join(names[:-1])} from {table} order by 1")
        # As text, for of two zeros one may be less than nothing.
        assert [list(map(str, row)) for row in online] == [list(map(str, row)) for row in rows]
        # As of a point in time, too; but pandas holds integers with a null as doubles.
        past = store.get_historical_features(
            entity_df=f"select application_id, timestamp '2026-02-01 00:00:00 UTC' as"
            f" event_timestamp from {table} where application_id not in (1, 2)",
            features=["limits:whole", "limits:number", "limits:words", "limits:truth"],
        ).to_df()
        read = past.sort_values("application_id")[["application_id", *names[:-1]]]
        expected = [row for row in rows if row[0] not in (1, 2)]
        assert [list(map(str, row)) for row in read.astype(object).to_numpy()] == [
            list(map(str, row)) for row in expected
        ]
    finally:
        store.apply([], objects_to_delete=[view, source_of(view)], partial=False)


def field_of(name: str, kind: str) -> Field:
    return Field(name=name, dtype=FEAST_TYPE[kind])


def test_the_readers_user_cannot_write(stack: dict[str, str], store: FeatureStore) -> None:
    table = f"{store.project}_loan"
    with psycopg.connect(
        host=stack["POSTGRES_HOST"],
        port=stack["POSTGRES_PORT"],
        dbname=stack["FEAST_DB"],
        user=stack["FEAST_READER_USER"],
        password=stack["FEAST_READER_PASSWORD"],
        autocommit=True,
    ) as connection:
        assert connection.execute(f"select count(*) from {table}").fetchone() != (0,)
        for statement in (f"delete from {table}", "delete from feature_views", "create table x ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_without_a_registry_the_error_has_a_hint(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repo: Path
) -> None:
    config = (repo / "feature_store.yaml").read_text()
    (tmp_path / "feature_store.yaml").write_text(config.replace(store.project, "nothing_applied"))
    monkeypatch.setenv("FEAST_REPO", str(tmp_path))
    done = command("materialize")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        "error: no features are registered\n  -> `feast apply`, in feast_repo\n"
    )
