"""Makes loan applications like those of the real file: seeded, any number, flat memory.

Rows are made in blocks of a fixed size, each from its own random stream, so a
row depends on the seed and its position alone: asking for more rows, or taking
them in other portions, changes none of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from ingestion.source import distribution as d
from ingestion.source.columns import (
    FIRST_CREATED,
    ROW_INTERVAL_SECONDS,
    ROWS_PER_CYCLE,
    TABLE_COLUMNS,
)
from ingestion.source.load import CsvChunk

BLOCK_ROWS = 65_536

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Values = Any  # an Arrow array or a numpy one: pyarrow has no types


def generate_chunks(rows: int, seed: int) -> Iterator[CsvChunk]:
    """Yield ``rows`` applications as CSV chunks of up to ``BLOCK_ROWS`` rows."""
    options = arrow_csv.WriteOptions(include_header=False)
    for table in generate_tables(rows, seed):
        sink = pa.BufferOutputStream()
        arrow_csv.write_csv(table, sink, options)
        yield CsvChunk(table.num_rows, memoryview(sink.getvalue()))


def generate_tables(rows: int, seed: int) -> Iterator[pa.Table]:
    """Yield ``rows`` applications as Arrow tables with the source's columns."""
    for block, start in enumerate(range(0, rows, BLOCK_ROWS)):
        table = _block(block, seed)
        yield table.slice(0, min(BLOCK_ROWS, rows - start))


def _block(block: int, seed: int) -> pa.Table:
    random = np.random.default_rng([seed, block])
    person = _person(random)
    loan = _loan(random, person)
    columns = {**_key_and_times(block), **person, **loan}
    return pa.table({name: _whole_as_integer(columns[name]) for name in TABLE_COLUMNS})


def _person(random: np.random.Generator) -> dict[str, Values]:
    age = _ages(random)
    start = random.normal(d.CAREER_START_MEAN, d.CAREER_START_DEVIATION, BLOCK_ROWS)
    age_rank = _normal_scores(age)
    income_rank = _lean(random, age_rank, d.INCOME_ON_AGE)
    score_rank = _lean(random, age_rank, d.SCORE_ON_AGE)
    return {
        "person_age": age,
        "person_gender": _category(random, "person_gender"),
        "person_education": _category(random, "person_education"),
        "person_income": np.rint(_quantile("person_income", income_rank)),
        "person_emp_exp": np.maximum(np.rint(age - start), 0),
        "person_home_ownership": _category(random, "person_home_ownership"),
        "cb_person_cred_hist_length": _credit_history(random, age),
        "credit_score": np.rint(_quantile("credit_score", score_rank)),
        "previous_loan_defaults_on_file": _category(random, "previous_loan_defaults_on_file"),
        "_income_rank": income_rank,
    }


def _loan(random: np.random.Generator, person: dict[str, Values]) -> dict[str, Values]:
    income = person["person_income"]
    amount_rank = _lean(random, person["_income_rank"], d.AMOUNT_ON_INCOME)
    rate_rank = _lean(random, amount_rank, d.RATE_ON_AMOUNT)
    affordable = np.floor(d.GREATEST_PERCENT_INCOME * income)
    amount = np.minimum(np.rint(_quantile("loan_amnt", amount_rank)), affordable)
    rate = np.round(_quantile("loan_int_rate", rate_rank), 2)
    percent_income = np.round(amount / income, 2)
    intent = _category(random, "loan_intent")
    odds = (
        d.APPROVAL_INTERCEPT
        + d.APPROVAL_PERCENT_INCOME * percent_income
        + d.APPROVAL_INT_RATE * rate
        + d.APPROVAL_LOG_INCOME * np.log(income)
        + _weights(person["person_home_ownership"], d.APPROVAL_HOME)
        + _weights(intent, d.APPROVAL_INTENT)
    )
    clean = pc.equal(person["previous_loan_defaults_on_file"], "No").to_numpy(zero_copy_only=False)
    approved = clean & (random.random(BLOCK_ROWS) < 1 / (1 + np.exp(-odds)))
    return {
        "loan_amnt": amount,
        "loan_intent": intent,
        "loan_int_rate": rate,
        "loan_percent_income": percent_income,
        "loan_status": approved.astype(np.int64),
    }


def _key_and_times(block: int) -> dict[str, Values]:
    row = np.arange(BLOCK_ROWS, dtype=np.int64) + block * BLOCK_ROWS
    cycle, position = np.divmod(row, ROWS_PER_CYCLE)
    first = int(FIRST_CREATED.timestamp()) * 1_000_000
    micros = first + position * ROW_INTERVAL_SECONDS * 1_000_000 + cycle
    times = pa.array(micros, pa.timestamp("us", tz="UTC"))
    return {"application_id": row + 1, "created_at": times, "updated_at": times}


def _ages(random: np.random.Generator) -> Floats:
    counts = np.array(list(d.AGE_COUNTS.values()))
    age = random.choice(
        np.array(list(d.AGE_COUNTS), dtype=np.float64),
        BLOCK_ROWS,
        p=counts / counts.sum(),
    )
    slip = random.random(BLOCK_ROWS) < d.IMPOSSIBLE_AGE_SHARE
    impossible = random.choice(np.array(d.IMPOSSIBLE_AGES, np.float64), BLOCK_ROWS)
    return np.where(slip, impossible, age)


def _credit_history(random: np.random.Generator, age: Floats) -> Floats:
    from_age, low, high = (
        np.array(x, dtype=np.float64) for x in zip(*d.CREDIT_HISTORY, strict=True)
    )
    band = np.searchsorted(from_age, age, side="right") - 1
    width = high[band] - low[band] + 1
    years: Floats = low[band] + np.floor(random.random(BLOCK_ROWS) * width)
    return years


def _category(random: np.random.Generator, column: str) -> pa.Array:
    shares = d.CATEGORIES[column]
    edges = np.cumsum(list(shares.values()))
    codes = np.searchsorted(edges, random.random(BLOCK_ROWS) * edges[-1], "right")
    return pa.array(list(shares)).take(pa.array(codes))


def _weights(column: pa.Array, weight: dict[str, float]) -> Floats:
    values = pa.array(list(weight))
    codes = pc.index_in(column, value_set=values).to_numpy()
    found: Floats = np.array(list(weight.values()))[codes]
    return found


def _normal_scores(values: Floats) -> Floats:
    """A rank of ``values`` that is roughly normal, which is all a lean needs."""
    logs: Floats = np.log(values - 15)
    scores: Floats = (logs - logs.mean()) / logs.std()
    return scores


def _lean(random: np.random.Generator, on: Floats, weight: float) -> Floats:
    """Standard normal scores that correlate with ``on`` by ``weight``."""
    noise: Floats = random.standard_normal(BLOCK_ROWS)
    scores: Floats = weight * on + np.sqrt(1 - weight * weight) * noise
    return scores


def _quantile(column: str, scores: Floats) -> Floats:
    """The column's values at the given normal scores."""
    values: Floats = np.interp(_normal_cdf(scores), d.PROBABILITIES, d.QUANTILES[column])
    return values


def _normal_cdf(scores: Floats) -> Floats:
    """The normal distribution function, to 2e-5, which no percentile notices.

    Waissi and Rossin's logistic approximation: numpy has no erf.
    """
    cubic = -0.0004406 * scores**5 + 0.0418198 * scores**3 + 0.9 * scores
    result: Floats = 1 / (1 + np.exp(-np.sqrt(np.pi) * cubic))
    return result


def _whole_as_integer(column: Values) -> pa.Array:
    """Floats that are all whole as integers, so that CSV shows 22 and not 22.0."""
    if isinstance(column, np.ndarray) and column.dtype == np.float64:
        whole = column.astype(np.int64)
        return pa.array(whole if bool((whole == column).all()) else column)
    return pa.array(column) if isinstance(column, np.ndarray) else column
