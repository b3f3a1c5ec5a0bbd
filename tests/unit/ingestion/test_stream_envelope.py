"""One record of Debezium's, read; or the reason why it cannot be."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.stream.envelope import read

KEY = b'{"application_id":7}'
ROW = {"application_id": 7, "person_income": "71948.00", "über": None}


def envelope(**changed: Any) -> bytes:
    content = {
        "before": None,
        "after": ROW,
        "source": {"lsn": 42, "txId": 775, "ts_us": 1_700_000_000_000_001, "schema": "public"},
        "transaction": None,
        "op": "c",
        "ts_ms": 1,
        **changed,
    }
    return json.dumps(content, ensure_ascii=False).encode()


def test_a_change_is_read_and_its_row_left_as_it_was() -> None:
    row = b'{"a" : 1.50,\n "b":"\xc3\xa4\\u00e4", "c":{"d":[ 1e5 ]}}'
    value = b'{"op":"u","x":[1],"after":%b,"source":{"ts_us":3,"txId":2,"lsn":1,"y":{}}}' % row

    change = read(KEY, value)

    assert change.problem is None
    assert (change.key, change.op, change.before, change.after) == (KEY, "u", None, row)
    assert (change.lsn, change.tx_id, change.committed_at) == (1, 2, 3)


def test_a_delete_has_only_its_before() -> None:
    change = read(KEY, envelope(op="d", before={"application_id": 7}, after=None))

    assert change.problem is None
    assert (change.before, change.after) == (b'{"application_id": 7}', None)


def test_a_truncate_has_no_key_and_no_row() -> None:
    change = read(None, envelope(op="t", after=None))

    assert change.problem is None
    assert (change.op, change.key, change.before, change.after) == ("t", None, None, None)
    assert change.lsn == 42


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (KEY, None, "the value is null"),
        (KEY, b"", "Input data was truncated"),
        (KEY, b"\x00\x01", "malformed"),
        (KEY, b'"text"', "Expected `object`, got `str`"),
        (KEY, b"{}", "missing required field `op`"),
        (KEY, envelope(op="m"), "Invalid enum value 'm'"),
        (KEY, envelope(source={"txId": 1, "ts_us": 1}), "missing required field `lsn`"),
        (KEY, envelope(source={"lsn": "1", "txId": 1, "ts_us": 1}), "$.source.lsn"),
        (KEY, envelope(source={"lsn": 2**63, "txId": 1, "ts_us": 1}), "$.source.lsn"),
        (KEY, envelope(source={"lsn": -1, "txId": 1, "ts_us": 1}), "$.source.lsn"),
        (KEY, envelope(source={"lsn": 1, "txId": None, "ts_us": 1}), "$.source.txId"),
        (KEY, envelope(source={"lsn": 1, "txId": 2**32, "ts_us": 1}), "$.source.txId"),
        (KEY, envelope(source={"lsn": 1, "txId": 1, "ts_us": 2**63 - 1}), "$.source.ts_us"),
        (KEY, envelope(source=None), "$.source"),
        (KEY, envelope(after=None), "no `after`, though op is c"),
        (KEY, envelope(after=[1]), "`after` is no object"),
        (KEY, envelope(before="x"), "`before` is no object"),
        (KEY, envelope().replace(b"71948", b"\xff\xfe"), "invalid start byte"),
        (KEY, envelope()[:-20], "truncated"),
        (KEY, envelope() + b"{}", "malformed"),
        (None, envelope(), "the key is null"),
        (b"7", envelope(), "key: Expected `object`"),
        (b"{}", envelope(), "no column in it"),
        (b'{"a":"\xff"}', envelope(), "key: "),
        (b"{", envelope(), "key: "),
    ],
)
def test_an_unreadable_record_has_a_problem_and_no_values(
    key: bytes | None, value: bytes | None, problem: str
) -> None:
    change = read(key, value)

    assert problem in (change.problem or "")
    assert (change.key, change.op, change.before, change.after) == (None, None, None, None)
    assert (change.lsn, change.tx_id, change.committed_at) == (None, None, None)


texts = st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children) | st.dictionaries(texts, children),
)


@given(st.binary(), st.binary())
def test_no_bytes_stop_it(key: bytes, value: bytes) -> None:
    assert read(key, value).problem is not None


@given(st.dictionaries(texts, texts | json_values), st.booleans())
def test_any_row_passes_through_as_it_is(row: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(row, ensure_ascii=ascii_only).encode()

    change = read(KEY, envelope(after="ROW").replace(b'"ROW"', text))

    assert change.problem is None
    assert change.after == text


@given(st.binary(max_size=40), st.integers(0, 200))
def test_what_is_read_is_utf8_and_json(noise: bytes, at: int) -> None:
    value = envelope()
    change = read(KEY, value[:at] + noise + value[at + len(noise) :])

    if change.problem is None and change.after is not None:
        json.loads(change.after.decode())
