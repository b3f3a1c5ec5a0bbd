"""A source table of all types, with rows at the types' limits."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

ALL_TYPES = """
CREATE TABLE {schema}.limits (
    id bigint PRIMARY KEY, i2 smallint, i4 integer, i8 bigint, b boolean,
    n numeric(12,2), n38 numeric(38,10), n0 numeric(5,0), tiny numeric(2,4), coarse numeric(3,-2),
    free numeric, wide numeric(50,3), f4 real, f8 double precision,
    t text, v varchar(9), c char(5), bin bytea,
    d date, ts timestamp, tz timestamptz, tz0 timestamptz(0),
    u uuid, j json, jb jsonb, arr integer[], mood {schema}.mood, money {schema}.euro,
    iv interval, hour time, "Odd ""Name" text
)
"""


def make_limits(corner: Any) -> list[tuple[Any, ...]]:
    """One table of all types with rows at their limits; the rows as Trino must show them."""
    corner.sql(
        f"CREATE TYPE {corner.schema}.mood AS ENUM ('good', 'b''ad')",
        f"CREATE DOMAIN {corner.schema}.euro AS numeric(9,2)",
        ALL_TYPES.format(schema=corner.schema),
        f"""INSERT INTO {corner.schema}.limits VALUES
        (-9223372036854775808, -32768, -2147483648, 9223372036854775807, true,
         -9999999999.99, 9999999999999999999999999999.9999999999, 99999, 0.0099, -99900,
         1e40 + 0.5, 12345678901234567890123456789012345678901234567.125, 'NaN', '-Infinity',
         E'quote " apostrophe '' comma, tab\t newline\n return\r 😀 \\\\N', '', ' a', '\\x00ff0a',
         '0001-01-01', '0001-01-01 00:00:00.000001', '1969-12-31 23:59:59.999999+00',
         '2000-02-29 12:00:00+05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{{"a" : 1}}',
         '{{"b":[null,"é"]}}', '{{1,NULL,3}}', 'b''ad', -0.01, '1 year 2 days', '23:59:59.999999',
         'x'),
        (9223372036854775807, 32767, 2147483647, -9223372036854775808, false,
         9999999999.99, -9999999999999999999999999999.9999999999, -99999, -0.0099, 99900,
         'NaN', 0, 3.4028235e38, 4.9e-324, '', 'ninechars', 'abcde', '', '9999-12-31',
         '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', '1900-01-01 00:00:00+00',
         '00000000-0000-0000-0000-000000000000', 'null', '1', '{{}}', 'good', 1, '-1 second',
         '00:00', '')""",
        f"INSERT INTO {corner.schema}.limits (id) VALUES (0)",
    )
    d = Decimal
    text = "quote \" apostrophe ' comma, tab\t newline\n return\r 😀 \\N"
    low = (
        *(-(2**63), -(2**15), -(2**31), 2**63 - 1, True),
        *(d("-9999999999.99"), d("9" * 28 + "." + "9" * 10), d(99999), d("0.0099"), d(-99900)),
        *("1" + "0" * 40 + ".5", "12345678901234567890123456789012345678901234567.125"),
        *("nan", "-inf", text, "", " a", b"\x00\xff\n", date(1, 1, 1)),
        *(datetime(1, 1, 1, 0, 0, 0, 1), datetime(1969, 12, 31, 23, 59, 59, 999999)),
        *(datetime(2000, 2, 29, 7), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '{"a" : 1}'),
        *('{"b": [null, "é"]}', "{1,NULL,3}", "b'ad", d("-0.01"), "P1Y2D", "23:59:59.999999", "x"),
    )
    high = (
        *(2**63 - 1, 2**15 - 1, 2**31 - 1, -(2**63), False),
        *(
            d("9999999999.99"),
            d("-" + "9" * 28 + "." + "9" * 10),
            d(-99999),
            d("-0.0099"),
            d(99900),
        ),
        *("NaN", "0.000", str(3.4028235e38), str(4.9e-324), "", "ninechars", "abcde", b""),
        *(date(9999, 12, 31), datetime(9999, 12, 31, 23, 59, 59, 999999)),
        *(datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(1900, 1, 1)),
        *("00000000-0000-0000-0000-000000000000", "null", "1", "{}", "good", d("1.00")),
        *("PT-1S", "00:00:00", ""),
    )
    return [low, (0, *[None] * 30), high]
