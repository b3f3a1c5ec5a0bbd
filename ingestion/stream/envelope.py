"""One record of Debezium's: read, or the reason why it cannot be.

Only what silver needs to order the changes is decoded. A row's content stays the
JSON text that it was, so no change of the source's schema can stop it here.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

_NULL = Raw(b"null")
_OBJECT = ord("{")

Lsn = Annotated[int, Meta(ge=0, le=2**63 - 1)]
# PostgreSQL's 32-bit number, without its epoch.
TransactionId = Annotated[int, Meta(ge=0, lt=2**32)]
# Up to the year 9999, where Trino's and Parquet's times end.
Microseconds = Annotated[int, Meta(ge=0, lt=253_402_300_800_000_000)]


class Source(msgspec.Struct, gc=False):
    """Where in the source's log the change is, and when it was committed."""

    lsn: Lsn
    txId: TransactionId  # noqa: N815  # Debezium's name
    ts_us: Microseconds


class Envelope(msgspec.Struct, gc=False):
    """A change: create, update, delete, truncate or read."""

    op: Literal["c", "u", "d", "t", "r"]
    source: Source
    before: Raw = _NULL
    after: Raw = _NULL


class Change(msgspec.Struct, gc=False):
    """A change as it lands. All that could not be read is None, but for the reason."""

    key: bytes | None = None
    op: str | None = None
    before: bytes | None = None
    after: bytes | None = None
    lsn: int | None = None
    tx_id: int | None = None
    committed_at: int | None = None
    problem: str | None = None


_decode = msgspec.json.Decoder(Envelope).decode
_decode_key = msgspec.json.Decoder(dict[str, Raw]).decode


def read(key: bytes | None, value: bytes | None) -> Change:
    """Read a record; what is wrong with it, if something is, is its ``problem``."""
    try:
        return _read(key, value)
    except _UnreadableError as error:
        return Change(problem=str(error))


class _UnreadableError(Exception):
    """Why a record cannot be read."""


def _read(key: bytes | None, value: bytes | None) -> Change:
    if value is None:
        raise _UnreadableError("the value is null")
    try:
        envelope = _decode(value)
        # JSON's decoder does not look into what it passes on.
        if not value.isascii():
            value.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _UnreadableError(f"value: {error}") from None
    op, source = envelope.op, envelope.source
    before, after = _row("before", envelope.before), _row("after", envelope.after)
    if op == "t":
        key = None  # it is of no row
    elif op == "d":
        _check_key(key)
    else:
        if after is None:
            raise _UnreadableError(f"value: no `after`, though op is {op}")
        _check_key(key)
    return Change(key, op, before, after, source.lsn, source.txId, source.ts_us)


def _row(name: str, raw: Raw) -> bytes | None:
    text = bytes(raw)
    if text == b"null":
        return None
    if text[0] != _OBJECT:
        raise _UnreadableError(f"value: `{name}` is no object")
    return text


def _check_key(key: bytes | None) -> None:
    if key is None:
        raise _UnreadableError("the key is null")
    try:
        if not _decode_key(key):
            raise _UnreadableError("key: no column in it")
        key.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _UnreadableError(f"key: {error}") from None
