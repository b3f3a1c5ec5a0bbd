"""A run whose time is used up starts no further test and says which it left out."""

import pytest

pytest_plugins = ["pytester"]

EXHAUST_BUDGET = "request.config.pluginmanager.get_plugin('budget').end = 0"
MUCH_LATER = "--stop-at=99999999999"  # not from now: these tests are collected long before they run


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest("-p", "tests.budget", *options)


def test_with_time_left_all_tests_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): pass\ndef test_two(): pass")
    result = run(pytester, MUCH_LATER)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*left out*")


def test_what_has_begun_ends_and_the_rest_is_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_first=f"""
            import pytest
            @pytest.fixture(scope="module")
            def service():
                yield
                print("the service is down")
                assert False
            def test_one(request, service): {EXHAUST_BUDGET}
            def test_two(service): pass
            """,
        test_second="def test_three(): pass",
    )
    result = run(pytester, MUCH_LATER)
    # The failure in the fixture's teardown is reported as that of any other.
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "the service is down",
            "*= left out, the time is used up: 2 tests =*",
            "test_first.py::test_two",
            "test_second.py::test_three",
        ]
    )


@pytest.mark.parametrize(("outcome", "code"), [("True", 0), ("False", 1)])
def test_the_exit_code_is_that_of_the_tests_that_ran(
    pytester: pytest.Pytester, outcome: str, code: int
) -> None:
    pytester.makepyfile(
        f"def test_one(request): {EXHAUST_BUDGET}; assert {outcome}\ndef test_two(): pass"
    )
    assert run(pytester, MUCH_LATER).ret == code


def test_a_failing_set_up_uses_up_time_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        @pytest.fixture
        def service(request):
            {EXHAUST_BUDGET}
            assert False
        def test_one(service): pass
        def test_two(): pass
        """
    )
    result = run(pytester, MUCH_LATER)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*left out*: 1 tests*", "*::test_two"])


def test_nothing_is_left_out_if_the_last_test_uses_up_the_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"def test_one(request): {EXHAUST_BUDGET}")
    result = run(pytester, MUCH_LATER)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*used up*")


def test_without_time_no_test_starts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): assert False")
    result = run(pytester, "--stop-at=0")
    assert result.ret == 0
    result.assert_outcomes()
    result.stdout.fnmatch_lines(["*left out*: 1 tests*", "*::test_one"])


def test_what_stops_a_run_for_another_reason_is_not_the_budget(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(): assert False\ndef test_two(): pass")
    result = run(pytester, MUCH_LATER, "--exitfirst")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*left out*")


def order(pytester: pytest.Pytester, *options: str) -> list[str]:
    result = run(pytester, "--collect-only", "--quiet", *options)
    return [line for line in result.outlines if "::" in line]


def test_the_seed_decides_the_order_of_the_modules(pytester: pytest.Pytester) -> None:
    tests = "def test_b(): pass\ndef test_a(): pass"
    pytester.makepyfile(**{f"test_{number}": tests for number in range(6)})
    plain = order(pytester)
    orders = [order(pytester, f"--shuffle-modules={seed}") for seed in ("1f3a", "1f3a", "20c7")]
    assert orders[0] == orders[1]
    assert len({tuple(one) for one in [plain, *orders]}) == 3
    for one in orders:
        assert sorted(one) == sorted(plain)
        # A module's tests stay together, and in its own order.
        assert [name.split("::")[1] for name in one] == ["test_b", "test_a"] * 6
        assert [name.split("::")[0] for name in one[::2]] == [
            name.split("::")[0] for name in one[1::2]
        ]
