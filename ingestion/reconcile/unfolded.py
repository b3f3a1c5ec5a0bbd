"""Keys with changes that have landed by the stream and are not in silver yet.

While the source is written to, silver lags by the changes that have landed since the last
run of dbt. A row that differs because of one of them is not an error; any other
difference is. These changes are known exactly: of each partition of the stream,
silver says up to which offset it has come.
"""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.errors import DataError
from ingestion.postgres import quote_identifier
from ingestion.reconcile.canonical import ColumnPair
from ingestion.reconcile.engines import key_text
from ingestion.trino_client import Trino


@dataclass(frozen=True)
class Key:
    """A column of the key, with its type in silver."""

    pair: ColumnPair
    type: str


def unfolded_keys(trino: Trino, changes: str, progress: str, key: Sequence[Key]) -> set[str]:
    """The canonical texts of the keys that have an event after silver's offsets.

    ``changes`` is the table of the stream's changes in bronze, ``progress`` silver's own
    of the offsets that it has come to.

    Raises:
        DataError: a TRUNCATE waits to be folded in, which changes every row.
    """
    reached = trino.query(f"SELECT last_object FROM {progress} WHERE input_kind = 'partition'")
    # Older objects have been folded in. By day and name Trino need not open them.
    oldest = min((row[0] for row in reached), default="").rpartition("/")[0]
    day = oldest.partition("/dt=")[2][:10]
    since = f"AND change.dt >= DATE '{day}' AND change.\"$path\" >= '{oldest}'" if day else ""
    columns = ", ".join(
        f"CAST(json_extract_scalar(key, '$.{one.pair.name}') AS {one.type})"
        f" AS {quote_identifier(one.pair.name)}"
        for one in key
    )
    found = trino.query(
        f"SELECT DISTINCT op = 't', {key_text([one.pair.trino for one in key], 'length')} FROM ("
        f" SELECT op, {columns} FROM {changes} AS change"
        f" LEFT JOIN {progress} AS progress ON progress.input_kind = 'partition'"
        " AND progress.input_id = change.topic_id || '+' || CAST(change.partition AS varchar)"
        f' WHERE op IS NOT NULL AND change."offset" >= coalesce(next_offset, 0) {since})'
    )
    if any(is_truncate for is_truncate, _ in found):
        raise DataError("a TRUNCATE of the source is not in silver yet", "`dbt build`, then again")
    return {text for _, text in found}
