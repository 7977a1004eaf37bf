"""`finops track`: a command runs as it would alone, and is known."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from finops.reported import Event, What, parse
from tests.conftest import Finops

_MAIN = "from finops.cli import main; main()"
_TRAPS = "trap 'echo {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def track(acme: Path) -> Callable[..., "subprocess.Popen[str]"]:
    def started(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", _MAIN, "track", "--team", "vision", *arguments]
        return subprocess.Popen(
            command,
            cwd=acme,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def events(acme: Path) -> list[Event]:
    files = (acme / "spool").glob("*.jsonl")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted((parse(line) for line in lines), key=lambda event: event.at)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_commands(code: int, acme: Path, finops: Finops) -> None:
    ran = finops(
        "track", "--team", "Vision", "--", "sh", "-c", f"echo out; echo err >&2; exit {code}"
    )
    assert (ran.code, ran.out, ran.err) == (code, "out\n", "err\n")
    start, end = events(acme)
    assert (start.event, end.event) == (What.START, What.END)
    assert start.workload_id == end.workload_id
    assert start.tags == {"team": "vision"}


def test_a_commands_options_are_its_own(acme: Path, finops: Finops) -> None:
    assert finops("track", "--team", "vision", "sh", "-c", "exit 3", "--team", "x").code == 3
    assert finops("track", "--team", "vision", "--", "sh", "-c", "exit 4").code == 4


def test_the_command_knows_its_id(acme: Path, finops: Finops) -> None:
    ran = finops("track", "--team", "vision", "--", "sh", "-c", "echo $FINOPS_ATTRIBUTION_ID")
    assert ran.out.strip() == events(acme)[0].workload_id


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "USR1", "QUIT"])
def test_a_signal_reaches_the_command(
    name: str, acme: Path, track: Callable[..., "subprocess.Popen[str]"]
) -> None:
    with track("--", "sh", "-c", _TRAPS.format(name=name)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(20) == 9
        assert process.stdout.read() == f"{name}\n"
    assert [event.event for event in events(acme)] == [What.START, What.END]


def test_a_command_that_dies_of_a_signal_has_its_code_and_an_end(
    acme: Path, finops: Finops
) -> None:
    ran = finops("track", "--team", "vision", "--", "sh", "-c", "kill -9 $$")
    assert ran.code == 128 + signal.SIGKILL
    assert [event.event for event in events(acme)] == [What.START, What.END]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_control_c_reaches_the_command_once(acme: Path) -> None:
    counts = (
        "n=0; trap 'n=$((n+1))' INT; echo ready; for i in 1 2 3 4; do sleep 0.2; done; echo got $n"
    )
    ours = [sys.executable, "-c", _MAIN, "track", "--team", "vision"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(acme)
        os.execv(sys.executable, [*ours, "--", "sh", "-c", counts])
    assert _line(terminal) == "ready"
    os.write(terminal, b"\x03")
    assert _line(terminal) == "^Cgot 1"
    os.waitpid(child, 0)
    os.close(terminal)


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_run_has_the_code_a_shell_gives(
    command: str, code: int, acme: Path, finops: Finops
) -> None:
    ran = finops("track", "--team", "vision", "--", command)
    assert ran.code == code
    assert f"{command}: cannot be run" in ran.err
    assert [event.event for event in events(acme)] == [What.START, What.END]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--team", "visoin", "--", "touch", "ran"], "did you mean 'vision'?"),
        (["--", "touch", "ran"], "--team is missing"),
        (["--team", "vision"], "there is no command"),
        (["--team", "vision", "--tag", "x", "--", "touch", "ran"], "write it as NAME=VALUE"),
        (["--flush", "touch", "ran"], "--flush runs no command"),
    ],
)
def test_misuse_is_said_before_anything_runs(
    arguments: list[str], said: str, acme: Path, finops: Finops
) -> None:
    ran = finops("track", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not (acme / "ran").exists()


def test_a_spool_that_cannot_be_written_does_not_stop_the_command(
    acme: Path, finops: Finops
) -> None:
    (acme / "spool").write_text("no folder", encoding="utf-8")
    ran = finops("track", "--team", "vision", "--", "sh", "-c", "exit 5")
    assert ran.code == 5
    assert "the command runs untracked" in ran.err


def test_where_slurm_runs_it_is_told(
    acme: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "orion")
    monkeypatch.setenv("SLURMD_NODENAME", "gpu-3")
    finops("track", "--team", "vision", "--tag", "stage=pretrain", "--user", "ann@acme.com", "true")
    start = events(acme)[0]
    assert (start.cluster, start.node) == ("orion", "gpu-3")
    assert start.tags == {"team": "vision", "slurm_job_id": "4711", "stage": "pretrain"}
    assert start.user is not None
    assert start.user.startswith("u-")


def test_what_was_tracked_is_sent_and_taken_in(acme: Path, finops: Finops) -> None:
    with (acme / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tracking]\nsend_to = "events"\n')
        file.write('\n[sources.tracked]\nprovider = "sdk"\npath = "events"\n')
    assert finops("track", "--team", "vision", "--", "true").code == 0
    said = finops("track", "--flush")
    assert said.code == 0
    assert "Sent 1 finished files" in said.out
    assert events(acme) == []
    today = time.strftime("%Y-%m-%d", time.gmtime())
    taken = finops("ingest", "tracked", "--from", today, "--to", "2199-01-01")
    assert (taken.code, taken.err) == (0, "")


def test_without_a_place_to_send_to_events_stay(acme: Path, finops: Finops) -> None:
    finops("track", "--team", "vision", "--", "true")
    said = finops("track", "--flush")
    assert said.code == 0
    assert "tracking.send_to is not set" in said.out
    assert len(events(acme)) == 2


def _line(terminal: int) -> str:
    said = b""
    while not said.endswith(b"\n"):
        said += os.read(terminal, 1)
    return said.decode().strip()
