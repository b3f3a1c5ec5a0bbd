"""The tables file is checked before anything is touched."""

from pathlib import Path

import pytest
import yaml

from ingestion.errors import SettingsError
from ingestion.tables import load_tables

GOOD = {"name": "a", "source": "public.a", "key": ["id"]}


def load(tmp_path: Path, *entries: object, **changed: object) -> object:
    file = tmp_path / "tables.yml"
    content = {"bronze_schema": "hive.bronze", "first_day": "2026-01-01", "tables": list(entries)}
    file.write_text(yaml.safe_dump({**content, **changed}))
    return load_tables(file)


def test_the_shipped_file_is_right() -> None:
    tables = load_tables()
    (loans,) = tables.select(["loan_applications"])
    assert loans.key == ("application_id",)
    assert tables.select([]) == tables.tables


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(SettingsError, match="unknown table 'nope'"):
        load_tables().select(["nope"])


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({**GOOD, "name": "A+b"}, "tables.0.name"),
        ({**GOOD, "name": "batch_snapshots"}, "tables.0.name: .* the manifests' own table"),
        ({**GOOD, "key": []}, "tables.0.key"),
        ({**GOOD, "kee": 1}, "tables.0.kee"),
        ({"name": "a"}, "tables.0.source"),
        ({**GOOD, "reconcile": {"silver": "a; drop"}}, "tables.0.reconcile.silver"),
        ("a", "tables.0"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: object, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load(tmp_path, entry)


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="two tables are named 'a'"):
        load(tmp_path, GOOD, GOOD)


def test_a_table_that_is_named_like_anothers_changes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'a_changes' is the name .* the changes of 'a'"):
        load(tmp_path, {**GOOD, "name": "a_changes"}, GOOD)
    load(tmp_path, {**GOOD, "name": "b_changes"}, GOOD)


def test_a_missing_file_and_invalid_yaml_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load_tables(tmp_path / "nothing.yml")
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(SettingsError, match="is not YAML"):
        load_tables(tmp_path / "bad.yml")
