"""Which rule of FOCUS's own requirements model each of our rules stands for.

`data/reference/focus_requirements.csv` lists the requirements of the FOCUS 1.2 model (1.2.0.1) on
columns and their presence, with the id of the check that holds them, or why there is none. Its
sentences are quoted from the specification, CC BY 4.0, FinOps Foundation.
"""

import csv
import functools
from dataclasses import dataclass

from finops import shipped

FILE_NAME = "focus_requirements.csv"


@dataclass(frozen=True, slots=True)
class Quoted:
    """One requirement of the model: its id, MUST or SHOULD, the sentence, and what became of it."""

    rule: str
    keyword: str
    sentence: str
    check: str | None
    why_not: str | None


@functools.cache
def quoted() -> tuple[Quoted, ...]:
    """Read the requirements, in the order of their ids."""
    path = shipped.folder("reference") / FILE_NAME
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Quoted(
                row["rule"],
                row["keyword"],
                row["requirement"],
                row["check"] or None,
                row["why_not"] or None,
            )
            for row in csv.DictReader(file)
        )


@functools.cache
def rules_of(check: str) -> tuple[str, ...]:
    """Name the model's rules that the check with this id holds."""
    return tuple(one.rule for one in quoted() if one.check == check)
