"""A step is a plain call here, and a watched, retried task inside a flow run."""

from typing import Any, cast

import pytest
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Failed
from prefect.tasks import Task

from finops.errors import DataError, FinopsError, Terminal, Transient
from tasks.step import Failure, Outcomes, step


@step("double-{one}")
def doubled(config: str, one: int) -> int:
    """Double a number, unless it is odd."""
    if one % 2:
        raise DataError(f"{one} is odd; give an even number")
    return one * 2


def test_outside_a_flow_run_a_step_is_the_plain_call() -> None:
    assert doubled("finops.toml", 4) == 8
    with pytest.raises(DataError, match="3 is odd"):
        doubled("finops.toml", 3)


def test_one_that_fails_does_not_stop_the_others_and_is_not_hidden() -> None:
    outcomes = doubled.map("finops.toml", [2, 3, 4, 5])
    assert outcomes.results == (4, 8)
    assert [str(failure) for failure in outcomes.failures] == [
        "3: 3 is odd; give an even number",
        "5: 5 is odd; give an even number",
    ]
    with pytest.raises(FinopsError, match=r"3 is odd[^\n]*\n5: 5 is odd"):
        outcomes.or_raise()


def test_results_keep_the_order_of_what_was_mapped() -> None:
    many = list(range(0, 80, 2))
    assert doubled.map("finops.toml", many).or_raise() == tuple(one * 2 for one in many)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Transient("429"), True),
        (Terminal("401"), False),
        (DataError("not FOCUS"), False),
        (ValueError("a bug"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, *, expected: bool) -> None:
    condition = doubled.task.retry_condition_fn
    assert condition is not None
    state: State[Any] = Failed(data=error)
    nothing = cast("TaskRun", None)
    assert condition(cast("Task[..., Any]", doubled.task), nothing, state) is expected


def test_outcomes_without_failures_give_their_results() -> None:
    assert Outcomes((1, 2)).or_raise() == (1, 2)
    assert str(Failure("aws-main", Terminal("no access"))) == "aws-main: no access"


def test_whatever_one_raises_the_others_go_on() -> None:
    @step("count-{one}")
    def count(config: str, one: int) -> int:
        return 10 // one

    outcomes = count.map("finops.toml", [5, 0, 2])
    assert outcomes.results == (2, 5)
    (failure,) = outcomes.failures
    assert str(failure).startswith("0: this should not happen: ZeroDivisionError")
