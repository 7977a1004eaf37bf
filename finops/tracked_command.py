"""Running a command as tracked work: in a shell, under Slurm, in cron or in CI."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from finops.attribution_engine import AttributionEngine
from finops.errors import WarehouseError
from finops.gpu_usage import GpuUsage
from finops.reported import looks_personal

ID_VARIABLE = "FINOPS_ATTRIBUTION_ID"
"""What the command finds its attribution id under."""

NOT_FOUND, NOT_EXECUTABLE, OF_SIGNALS = 127, 126, 128
"""Exit codes as shells give them."""

_FORWARDED = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
_OF_TERMINALS = {signal.SIGINT, signal.SIGQUIT}

_TAGS: Mapping[str, str] = {
    "SLURM_JOB_ID": "slurm_job_id",
    "SLURM_JOB_NAME": "slurm_job_name",
    "SLURM_JOB_PARTITION": "slurm_partition",
    "SLURM_JOB_ACCOUNT": "slurm_account",
    "SLURM_ARRAY_TASK_ID": "slurm_array_task_id",
    "SLURM_PROCID": "slurm_procid",
    "GITHUB_REPOSITORY": "github_repository",
    "GITHUB_WORKFLOW": "github_workflow",
    "GITHUB_JOB": "github_job",
    "GITHUB_RUN_ID": "github_run_id",
    "CI_PROJECT_PATH": "gitlab_project",
    "CI_PIPELINE_ID": "gitlab_pipeline_id",
    "CI_JOB_NAME": "gitlab_job_name",
    "CI_JOB_ID": "gitlab_job_id",
    "JOB_NAME": "jenkins_job",
    "BUILD_NUMBER": "jenkins_build",
}
_ONLY_WITH: Mapping[str, str] = {"JOB_NAME": "JENKINS_URL", "BUILD_NUMBER": "JENKINS_URL"}
"""Variables whose names are too common to be believed alone."""


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """Read the tags that a scheduler's or CI's variables tell.

    A value that holds an e-mail address is left out.
    """
    return {
        tag: environment[variable]
        for variable, tag in _TAGS.items()
        if environment.get(variable)
        and environment.get(_ONLY_WITH.get(variable, variable))
        and not looks_personal(environment[variable])
    }


def run(
    engine: AttributionEngine,
    usage: GpuUsage,
    command: Sequence[str],
    warn: Callable[[str], None],
) -> int:
    """Run `command` to its end and return its exit code, or 128 and the signal it died of.

    Raises `ConfigError` for a wrong usage, before the command starts. A spool that cannot be
    written does not keep it from running: `warn` is told.
    """
    id_ = _begun(engine, usage, warn)
    try:
        return _exit_code(command, {} if id_ is None else {ID_VARIABLE: id_}, warn)
    finally:
        if id_ is not None:
            _ended(engine, id_, warn)


def _begun(engine: AttributionEngine, usage: GpuUsage, warn: Callable[[str], None]) -> str | None:
    try:
        return engine.track_gpu_usage_sync(**usage)
    except WarehouseError as error:
        warn(f"{error}; the command runs untracked")
        return None


def _ended(engine: AttributionEngine, id_: str, warn: Callable[[str], None]) -> None:
    try:
        engine.end_sync(id_)
    except WarehouseError as error:
        warn(f"{error}; it will count as ended a while after its last heartbeat")


def _exit_code(
    command: Sequence[str], variables: Mapping[str, str], warn: Callable[[str], None]
) -> int:
    with _forwarding() as forward_to:
        try:
            child = subprocess.Popen(command, env={**os.environ, **variables})  # noqa: S603 - the user's own
        except OSError as error:
            warn(f"{command[0]}: cannot be run ({error.strerror or error})")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        forward_to(child)
        code = child.wait()
    return code if code >= 0 else OF_SIGNALS - code


Child = subprocess.Popen[bytes]


@contextmanager
def _forwarding() -> Iterator[Callable[[Child], None]]:
    """Hand on signals to a child, also those that came before it was there."""
    children: list[Child] = []
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        if number in _OF_TERMINALS and _is_at_terminal():
            return  # the terminal has sent it to the child, too
        if not children:
            early.append(number)
        elif children[0].poll() is None:
            children[0].send_signal(number)

    def forward_to(child: Child) -> None:
        children.append(child)
        for number in early:
            child.send_signal(number)

    numbers = [getattr(signal, name) for name in _FORWARDED]
    # What is ignored (nohup) stays so, for the child too.
    caught = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in caught}
    try:
        yield forward_to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_at_terminal() -> bool:
    """Tell whether we stand in the foreground of a terminal, where Ctrl-C reaches all of us."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
