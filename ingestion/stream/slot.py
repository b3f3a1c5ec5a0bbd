"""The replication slot: how far Debezium has read the WAL, and whether it is usable."""

from dataclasses import dataclass

from psycopg2 import extensions

from ingestion.errors import DataError, MissingError

# PostgreSQL says the reason from 17 on.
_SLOT = """
SELECT active, wal_status, to_jsonb(s) ->> 'invalidation_reason',
       (confirmed_flush_lsn - '0/0')::bigint,
       (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint,
       (pg_current_wal_lsn() - restart_lsn)::bigint
FROM pg_replication_slots AS s
WHERE slot_name = %s
"""

RESET_SLOT_HINT = (
    "`python -m ingestion stream reset-slot` replaces it; then land a full batch, which"
    " contains the missing changes"
)


@dataclass(frozen=True)
class Slot:
    """The slot's state, in PostgreSQL's terms; WAL positions are byte counts.

    Attributes:
        is_active: Debezium is connected to it.
        confirmed: everything before it is in Kafka.
        lag_bytes: how much WAL Debezium has not yet written to Kafka.
        retained_bytes: how much WAL PostgreSQL keeps for the slot.
    """

    name: str
    is_active: bool
    wal_status: str | None
    invalidation_reason: str | None
    confirmed: int | None
    lag_bytes: int | None
    retained_bytes: int | None

    @property
    def is_lost(self) -> bool:
        """Whether PostgreSQL has removed WAL that Debezium had not read."""
        return self.wal_status in (None, "lost") or self.invalidation_reason is not None


def read_slot(cursor: extensions.cursor, name: str) -> Slot:
    """Read the slot's state.

    Raises:
        MissingError: there is no such slot.
    """
    cursor.execute(_SLOT, (name,))
    row = cursor.fetchone()
    if row is None:
        raise MissingError(
            f"the source has no replication slot {name!r}",
            RESET_SLOT_HINT,
        )
    return Slot(name, *row)


def check_alive(slot: Slot) -> None:
    """Raise if the slot can never be read again.

    Raises:
        DataError: it is lost.
    """
    if slot.is_lost:
        raise DataError(
            f"the replication slot {slot.name!r} is lost"
            f" ({slot.invalidation_reason or slot.wal_status}): PostgreSQL removed changes"
            " before Debezium read them",
            RESET_SLOT_HINT,
        )
