"""A step of a flow: a Prefect task inside a flow run, the plain call elsewhere.

So the same flow runs from a server's UI, watched and retried, and from the command line without
any server.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from prefect import task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.tasks import Task, exponential_backoff

from finops.errors import FinopsError, Transient

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_RETRIES = 3
_BACKOFF_SECONDS = 5
_WORKERS = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be done, and why."""

    what: str
    error: FinopsError

    def __str__(self) -> str:
        said = str(self.error)
        return said if said.startswith(f"{self.what}: ") else f"{self.what}: {said}"


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[T]):
    """What became of several calls: one that fails does not stop the others."""

    results: tuple[T, ...] = ()
    failures: tuple[Failure, ...] = ()

    def or_raise(self) -> tuple[T, ...]:
        """Return the results; raises `FinopsError` naming every failure."""
        if self.failures:
            raise FinopsError("\n".join(str(failure) for failure in self.failures))
        return self.results


class Step(Generic[P, R]):
    """One call that Prefect may watch; `name` may use the call's parameters, as in `ingest-{x}`."""

    def __init__(self, call: Callable[P, R], name: str, tags: Sequence[str] = ()) -> None:
        self.call = call
        self.task: Task[P, R] = task(
            name=call.__name__,
            task_run_name=name,
            tags=set(tags),
            cache_policy=NO_CACHE,
            retries=_RETRIES,
            retry_delay_seconds=exponential_backoff(_BACKOFF_SECONDS),
            retry_jitter_factor=0.5,
            retry_condition_fn=_may_pass,
        )(call)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if FlowRunContext.get() is None:
            return self.call(*args, **kwargs)
        return self.task(*args, **kwargs)

    def map(self, config: str, many: Iterable[Any]) -> Outcomes[R]:
        """Call with (config, one) for each of `many`, several at a time, in their order."""
        every = list(many)
        if FlowRunContext.get() is None:
            with ThreadPoolExecutor(_WORKERS) as pool:
                outcomes = list(pool.map(lambda one: self._tried(config, one), every))
        else:
            futures = self.task.map(unmapped(config), every)
            outcomes = [future.result(raise_on_failure=False) for future in futures]
        failed = [
            Failure(_spoken(one), _as_finops_error(outcome))
            for one, outcome in zip(every, outcomes, strict=True)
            if isinstance(outcome, Exception)
        ]
        done = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        return Outcomes(tuple(done), tuple(failed))

    def _tried(self, config: str, one: Any) -> R | Exception:
        try:
            return self.call(config, one)  # type: ignore[call-arg, arg-type]
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            return error


def step(name: str, tags: Sequence[str] = ()) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step; its task runs are called `name`."""
    return lambda call: Step(call, name, tags)


def _may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry only what the provider layer marked as transient."""
    return isinstance(state.data, Transient)


def _as_finops_error(error: Exception) -> FinopsError:
    if isinstance(error, FinopsError):
        return error
    return FinopsError(
        f"this should not happen: {type(error).__name__}: {error}; nothing of it was taken, please "
        f"report it"
    )


def _spoken(one: object) -> str:
    return str(getattr(one, "source", None) or getattr(one, "name", None) or one)
