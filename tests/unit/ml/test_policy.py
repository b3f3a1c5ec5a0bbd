"""Policy rules: data that decides before the model."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import MlError
from ml.policy import broken_rule, reasons
from ml.settings import PolicyRule, load_settings


def rule(operator: str, value: object, name: str = "one") -> PolicyRule:
    content = {"name": name, "column": "view:x", "operator": operator, "value": value}
    return PolicyRule.model_validate({**content, "reason": "Because."})


@pytest.mark.parametrize(
    ("operator", "value", "declined"),
    [("is", 3, [3]), ("below", 3, [1, 2]), ("above", 3, [4]), ("in", ["a"], [])],
)
def test_an_operator_declines_what_it_says(
    operator: str, value: object, declined: list[int]
) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3, 4]})
    found = broken_rule(frame, [rule(operator, value)])
    assert frame["x"][found == "one"].tolist() == declined


@given(st.lists(st.one_of(st.none(), st.booleans())), st.booleans())
def test_the_unknown_declines_nobody(values: list[bool | None], wanted: bool) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    found = broken_rule(frame, [rule("is", wanted)])
    assert (found == "one").tolist() == [value is wanted for value in values]


def test_the_first_rule_that_holds_is_the_reason() -> None:
    rules = [rule("above", 1, "first"), rule("above", 0, "second")]
    found = broken_rule(pd.DataFrame({"x": [0, 1, 2]}), rules)
    assert found.tolist() == ["", "second", "first"]
    assert reasons(list(found), rules) == ["", "Because.", "Because."]


def test_a_rule_about_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(MlError, match="policy rule one: there is no column x"):
        broken_rule(pd.DataFrame({"y": [1]}), [rule("is", 1)])


def test_the_projects_rule_declines_who_defaulted_before() -> None:
    [ours] = load_settings().policy_rules
    found = broken_rule(pd.DataFrame({"has_previous_default": [True, False, None]}), [ours])
    assert found.tolist() == ["previous_default", "", ""]
