"""Which steps the demo has."""

import pytest

from demo.steps import can_train


@pytest.mark.parametrize(
    ("rows", "csv", "expected"),
    [("", "", True), ("2999", "", False), ("3000", "", True), ("10", "loans.csv", True)],
)
def test_a_model_is_trained_if_there_are_enough_rows(
    monkeypatch: pytest.MonkeyPatch, rows: str, csv: str, expected: bool
) -> None:
    monkeypatch.setenv("ROWS", rows)
    monkeypatch.setenv("LOAN_CSV", csv)
    assert can_train() is expected
