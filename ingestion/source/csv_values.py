"""The values of a loan file, by column, as texts that PostgreSQL reads the same way.

Business values are let through as far as the table's types and CHECKs allow: the lake has
rules for them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

_INTEGER = re.compile(r"([+-]?)0*([0-9]+)(?:\.0*)?")
_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
# What programs write besides: 7.1948e4, .5
_SCIENTIFIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:([,.' \u00a0\u202f])[0-9]{3})+(?:[.,][0-9]*)?")
# A float is right to 15 digits: what is beyond is no decision of a person.
_NOISE = Decimal("1e-9")


@dataclass(frozen=True)
class BadValueError(Exception):
    """A value that its column's type cannot hold; ``reason`` completes a sentence."""

    reason: str


class Rounded(str):
    """A value whose float noise was rounded off."""

    __slots__ = ()


Parser = Callable[[str], str]


def integer(low: int, high: int) -> Parser:
    """Parser of whole numbers in ``low..high``; ``22.0`` and ``2.2e1`` count as whole."""

    def parse(text: str) -> str:
        match = _INTEGER.fullmatch(text)
        if match is None:
            number = _number(text, "a whole number")
            nearest = round(number)
            if abs(number - nearest) > _NOISE * max(1, abs(nearest)):
                raise BadValueError("is not a whole number")
            return _within(nearest, low, high, Rounded if number != nearest else str)
        sign, digits = match.groups()
        # No type of ours has more digits, and Python refuses to read thousands.
        if len(digits) > 18:
            raise BadValueError(f"is not between {low} and {high}")
        return _within(int(sign + digits), low, high, str)

    return parse


def _within(value: int, low: int, high: int, kind: type[str]) -> str:
    if not low <= value <= high:
        raise BadValueError(f"is not between {low} and {high}")
    return kind(value)


def decimal(precision: int, scale: int) -> Parser:
    """Parser of non-negative decimals that fit ``numeric(precision, scale)``.

    Float noise is rounded off; further decimals are an error, for PostgreSQL would round
    them without a word.
    """
    limit = Decimal(10) ** (precision - scale)

    def parse(text: str) -> str:
        plain = _DECIMAL.fullmatch(text) is not None
        value = Decimal(text) if plain else _number(text, "a decimal number")
        if not 0 <= value < limit:
            raise BadValueError(f"is not between 0 and {limit}")
        nearest: Decimal = round(value, scale)
        if value == nearest:
            return text if plain else f"{value:f}"
        if abs(value - nearest) > _NOISE * max(Decimal(1), nearest) or nearest >= limit:
            raise BadValueError(f"has more than {scale} decimals: round it to {scale}")
        return Rounded(nearest)

    return parse


def _number(text: str, wanted: str) -> Decimal:
    if _SCIENTIFIC.fullmatch(text):
        return Decimal(text)
    if thousands := _THOUSANDS.fullmatch(text):
        raise BadValueError(f"has {thousands[1]!r} between thousands: write it without")
    raise BadValueError(f"is not {wanted}")


def text(value: str) -> str:
    """Any text; PostgreSQL cannot hold the character NUL."""
    if "\0" in value:
        raise BadValueError("contains the character NUL")
    return value


_COUNT = integer(0, 2**31 - 1)
_MONEY = decimal(12, 2)
_RATE = decimal(5, 2)

PARSERS: dict[str, Parser] = {
    "person_age": _COUNT,
    "person_gender": text,
    "person_education": text,
    "person_income": _MONEY,
    "person_emp_exp": _COUNT,
    "person_home_ownership": text,
    "loan_amnt": _MONEY,
    "loan_intent": text,
    "loan_int_rate": _RATE,
    "loan_percent_income": _RATE,
    "cb_person_cred_hist_length": _COUNT,
    "credit_score": _COUNT,
    "previous_loan_defaults_on_file": text,
    "loan_status": integer(0, 1),
}
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]*(?:[eE][+-]?[0-9]{1,3})?")


def with_decimal_comma(parser: Parser) -> Parser:
    """The parser of a number that may have a comma before its decimals."""

    def parse(value: str) -> str:
        number = value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value
        return parser(number)

    return parse


NUMBERS = [name for name, parser in PARSERS.items() if parser is not text]
