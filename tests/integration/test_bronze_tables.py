"""Trino's tables over bronze: made once, remade when columns change, metadata only."""

from typing import Any


def actions(corner: Any) -> list[str]:
    return [ensured.action for ensured in corner.ensure_tables()]


def make(corner: Any) -> str:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, x text)",
        f"INSERT INTO {corner.schema}.t VALUES (1, 'a')",
    )
    return str(corner.configure("t"))


def test_a_table_is_readable_before_anything_landed_and_sees_each_landing(corner: Any) -> None:
    table = make(corner)
    assert actions(corner) == ["created", "created"]
    assert corner.visible(table) == []
    corner.land()
    assert corner.visible(table, "id, x") == [(1, "a")]
    corner.land()
    assert len(corner.visible(table)) == 2
    assert actions(corner) == ["unchanged", "unchanged"]


def test_a_new_column_appears_with_its_first_snapshot(corner: Any) -> None:
    """The older snapshot lacks the column and stays readable."""
    table = make(corner)
    corner.land()
    corner.ensure_tables()
    corner.sql(f"ALTER TABLE {corner.schema}.t ADD y numeric(9,3) DEFAULT 1.5")
    assert actions(corner) == ["unchanged", "unchanged"]
    corner.land()
    assert actions(corner) == ["recreated", "unchanged"]
    assert sorted(corner.visible(table, "id, x, CAST(y AS varchar)"), key=str) == [
        (1, "a", "1.500"),
        (1, "a", None),
    ]


def test_the_manifests_are_a_table(corner: Any) -> None:
    table = make(corner)
    (manifest,) = corner.land()
    corner.ensure_tables()
    columns = "snapshot_id, mode, lsn, xmin, xmax, cardinality(xip), taken_at, landed_at, row_count"
    shown = corner.trino.query(
        f"SELECT {columns}, byte_count, cursor_to, parts[1].object, parts[1].sha256,"
        f" parts[1].row_count, schema[2].name, schema[2].source_type, schema[2].type"
        f" FROM hive.{corner.schema}.batch_snapshots"
        f" WHERE table_name = '{table}' AND dt >= current_date - interval '1' day"
    )
    part = manifest.parts[0]
    assert shown == [
        (
            *(manifest.snapshot_id, "full", manifest.lsn, manifest.xmin, manifest.xmax),
            *(len(manifest.xip), manifest.taken_at, manifest.landed_at, 1, part.byte_count),
            *(None, part.object, part.sha256, 1, "x", "text", "varchar"),
        )
    ]
