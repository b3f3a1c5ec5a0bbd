"""Made-up applications: the same for a seed, and distributed like the real ones."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.source import distribution
from ingestion.source.columns import ROWS_PER_CYCLE, TABLE_COLUMNS, created_at
from ingestion.source.csv_values import PARSERS
from ingestion.source.generator import BLOCK_ROWS, generate_chunks, generate_tables


def generate(rows: int, seed: int = 1) -> pa.Table:
    return pa.concat_tables(generate_tables(rows, seed))


@pytest.fixture(scope="module")
def many() -> pa.Table:
    return generate(3 * BLOCK_ROWS)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2 * BLOCK_ROWS), st.integers(0, 2**32))
def test_fewer_rows_are_the_first_of_more(rows: int, seed: int) -> None:
    if rows:
        assert generate(rows, seed) == generate(2 * BLOCK_ROWS, seed).slice(0, rows)
    else:
        assert list(generate_tables(rows, seed)) == []


def test_another_seed_gives_other_rows() -> None:
    assert generate(100, seed=1) != generate(100, seed=2)


def test_blocks_do_not_repeat(many: pa.Table) -> None:
    first, second = (many["person_income"].slice(start, 1000) for start in (0, BLOCK_ROWS))
    assert first.to_pylist() != second.to_pylist()


def test_keys_and_times_follow_the_position(many: pa.Table) -> None:
    assert many.column_names == list(TABLE_COLUMNS)
    for row in (0, 1, ROWS_PER_CYCLE - 1, ROWS_PER_CYCLE, 2 * BLOCK_ROWS + 5):
        assert many["application_id"][row].as_py() == row + 1
        assert many["created_at"][row].as_py() == created_at(row)
    assert many["updated_at"] == many["created_at"]


def test_every_value_would_pass_as_a_line_of_the_file() -> None:
    for line in bytes(next(generate_chunks(2000, 3)).data).decode().splitlines():
        values = [value.strip('"') for value in line.split(",")][1:-2]
        for value, parse in zip(values, PARSERS.values(), strict=True):
            parse(value)


def test_shares_are_those_of_the_real_file(many: pa.Table) -> None:
    for column, shares in distribution.CATEGORIES.items():
        for value, share in shares.items():
            assert pc.mean(pc.equal(many[column], value)).as_py() == pytest.approx(share, abs=0.01)
    assert pc.mean(many["loan_status"]).as_py() == pytest.approx(0.2222, abs=0.01)
    too_old = pc.sum(pc.greater(many["person_age"], 100)).as_py()
    assert 10 <= too_old <= 60  # 30 expected, of 7 in 45,000


def test_percentiles_are_those_of_the_real_file(many: pa.Table) -> None:
    for column, expected in distribution.QUANTILES.items():
        made = pc.quantile(many[column], [0.1, 0.25, 0.5, 0.75, 0.9]).to_pylist()
        wanted = [expected[distribution.PROBABILITIES.index(p)] for p in (0.1, 0.5, 0.9)]
        assert [made[0], made[2], made[4]] == pytest.approx(wanted, rel=0.05)


def test_what_holds_for_each_real_row_holds(many: pa.Table) -> None:
    defaulted = pc.equal(many["previous_loan_defaults_on_file"], "Yes")
    assert pc.sum(many.filter(defaulted)["loan_status"]).as_py() == 0
    share = pc.divide(pc.cast(many["loan_amnt"], "double"), many["person_income"])
    off = pc.abs(pc.subtract(share, many["loan_percent_income"]))
    assert pc.max(off).as_py() <= 0.005 + 1e-9


def test_age_and_experience_go_together(many: pa.Table) -> None:
    frame = many.select(["person_age", "person_emp_exp", "cb_person_cred_hist_length"]).to_pandas()
    correlation = frame.corr()
    assert correlation.iloc[0, 1] > 0.9
    assert correlation.iloc[0, 2] > 0.75
