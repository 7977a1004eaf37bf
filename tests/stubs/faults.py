"""The faults every network provider must survive or report, each with what must come of it."""

from dataclasses import dataclass

from finops.errors import ProviderError, Terminal, Transient
from tests.stubs.scripted import JSON, Answer

HTML = {"Content-Type": "text/html; charset=utf-8"}
CUT = "complete JSON"


@dataclass(frozen=True, slots=True)
class Fault:
    """Answers that stand before the good one, and the error (or `None`) they must lead to.

    `says` must be in the error's message; `waits` are the shortest pauses the client must make.
    `timeout_seconds` is the client's: long, but for the fault that is about it, since a busy machine
    may be slow.
    """

    name: str
    answers: tuple[Answer, ...]
    raises: type[ProviderError] | None = None
    says: str = ""
    waits: tuple[float, ...] = ()
    repeats: bool = False
    timeout_seconds: float = 20.0


def standard_faults(good: Answer) -> list[Fault]:
    """List the faults of an endpoint whose good reply is `good`."""
    half = Answer(good.body[: len(good.body) // 2])
    reset = Answer(good.body, reset_after=len(good.body) // 2)
    slow = Answer(good.body, delay_seconds=1.2)
    told = Answer(b"slow down", 429, {"Retry-After": "7"})
    limits = Answer(b"", 429, {"Retry-After": "3", "X-RateLimit-Reset": "11"})
    return [
        Fault("401", (Answer(b"no", 401),), Terminal, "401", repeats=True),
        Fault("429 without Retry-After", (Answer(b"", 429),), waits=(1,)),
        Fault("429 with Retry-After", (told,), waits=(7,)),
        Fault("429 with two headers", (limits,), waits=(11,)),
        Fault("429 for ever", (Answer(b"", 429),), Transient, "429", repeats=True),
        Fault("500 twice", (Answer(b"", 500), Answer(b"", 502)), waits=(1, 2)),
        Fault("503 for ever", (Answer(b"", 503),), Transient, "503", repeats=True),
        Fault("time-out", (slow,), waits=(1,), timeout_seconds=0.8),
        Fault("reset mid-body", (reset,), waits=(1,)),
        Fault("reset for ever", (reset,), Transient, "try 5 of 5", repeats=True),
        Fault("HTML with 200", (Answer(b"<html>", 200, HTML),), Transient, "text/html"),
        Fault("JSON cut in half", (half,), Transient, CUT, repeats=True),
        Fault("empty body", (Answer(b"", 200, JSON),), Transient, CUT),
        Fault(
            "redirect", (Answer(b"", 302, {"Location": "http://127.0.0.1:9/"}),), Terminal, "302"
        ),
    ]
