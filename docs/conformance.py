"""Write focus-conformance.md: every rule, what happens when it is broken, and where the demo does."""

import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from finops import checks, config, conformance, focus_requirements
from finops.conformance import Conformance, Requirement
from finops.errors import Severity
from finops.partition import Window
from finops.raw import RawStore
from finops.warehouse.local import LocalWarehouse
from providers import registry
from providers.base import ChargeProvider

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "focus-conformance.md"
DEMO = ROOT / "data" / "demo" / "finops.toml"
DEFECTS = ROOT / "tests" / "fixtures" / "focus" / "validator_defects.toml"
GAPS = ROOT / "docs" / "focus-gaps.toml"
PERIOD = "2026-10"
ABSENT, HOLDS = "-", "·"

Found = dict[str, list[Conformance]]
"""What the bills of each source of the demo company break."""


def demo() -> Found:
    """Hold the bills of the demo company against FOCUS, as its sources deliver them."""
    settings = config.load(DEMO)
    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        store = RawStore(LocalWarehouse(Path(folder)))
        for source in settings.sources:
            provider = registry.connect(source, settings.source(source), settings.base)
            if not isinstance(provider, ChargeProvider):
                continue
            delivery = provider.fetch(Window.of_period(PERIOD), store)
            found[source] = [
                conformance.check(bill.rows, bill.raw.name)
                for bill in provider.charges(delivery, store.path)
            ]
    return found


def broken(bills: list[Conformance], requirement: Requirement) -> str:
    """Say how many rows of a source break `requirement`."""
    counts = [
        result.broken
        for bill in bills
        for result in bill.results
        if result.requirement == requirement and result.broken is not None
    ]
    if not counts:
        return ABSENT
    return f"**{sum(counts):,}**" if sum(counts) else HOLDS


def consequence(requirement: Requirement) -> str:
    """Say what happens to a row that breaks `requirement`."""
    match requirement.severity:
        case Severity.FATAL:
            return "the bill is refused"
        case Severity.QUARANTINE:
            return "set aside, counted"
        case _ if requirement.message == checks.BAD_JSON:
            return "kept without the value"
        case Severity.WARNING if requirement.is_of_ingest:
            return "kept, told at ingest"
        case _:
            return "kept, told by the check"


def requirements(found: Found) -> Iterator[str]:
    """Write the table of our rules."""
    sources = list(found)
    yield f"| column | broken when it … | severity | then | FOCUS 1.2 | {' | '.join(sources)} |"
    yield f"| --- | --- | --- | --- | --- |{' ---: |' * len(sources)}"
    for one in conformance.requirements():
        rules = " ".join(rule.partition("-")[2] for rule in focus_requirements.rules_of(one.id))
        cells = [one.column, one.message, one.severity, consequence(one), rules]
        cells += [broken(bills, one) for bills in found.values()]
        yield f"| {' | '.join(cells)} |"


def bills(found: Found) -> Iterator[str]:
    """Write what the bills of the demo are."""
    yield "| source | rows | FOCUS, by its columns | an ingest |"
    yield "| --- | ---: | --- | --- |"
    for source, several in found.items():
        rows = sum(bill.rows for bill in several)
        version = ", ".join(sorted({bill.version for bill in several}))
        sets_aside = any(bill.sets_aside for bill in several)
        verdict = "sets rows aside" if sets_aside else "takes every row"
        refused = any(bill.is_refused for bill in several)
        yield f"| `{source}` | {rows:,} | {version} | {'refuses it' if refused else verdict} |"


def gaps() -> Iterator[str]:
    """Write why the bills break what they break."""
    yield "| source | column | why it stays |"
    yield "| --- | --- | --- |"
    for source, columns in tomllib.loads(GAPS.read_text(encoding="utf-8")).items():
        told: dict[str, list[str]] = {}
        for column, reason in columns.items():
            told.setdefault(reason, []).append(column)
        for reason, found in told.items():
            yield f"| `{source}` | {', '.join(found)} | {reason} |"


def unchecked() -> Iterator[str]:
    """Write the requirements of FOCUS 1.2 that no check holds, and why."""
    yield "| FOCUS 1.2 | requirement | why it is not checked |"
    yield "| --- | --- | --- |"
    for one in focus_requirements.quoted():
        if one.why_not is not None:
            yield f"| {one.rule} | {one.sentence} | {one.why_not} |"


def defects() -> Iterator[str]:
    """Write what the official validator gets wrong."""
    yield "| rule | why it fails on a bill that breaks nothing |"
    yield "| --- | --- |"
    tables = tomllib.loads(DEFECTS.read_text(encoding="utf-8"))
    for table in tables.values():
        for rule, reason in table.items():
            yield f"| {rule} | {reason} |"


def page() -> str:
    """Write the whole page."""
    found = demo()
    quoted = focus_requirements.quoted()
    held = sum(one.check is not None for one in quoted)
    facts = {
        "@count@": str(len(conformance.requirements())),
        "@held@": str(held),
        "@quoted@": str(len(quoted)),
        "@unheld@": str(len(quoted) - held),
        "@bills@": "\n".join(bills(found)),
        "@gaps@": "\n".join(gaps()),
        "@requirements@": "\n".join(requirements(found)),
        "@unchecked@": "\n".join(unchecked()),
        "@defects@": "\n".join(defects()),
    }
    text = PAGE.with_name("focus-conformance.template.md").read_text(encoding="utf-8")
    for name, content in facts.items():
        text = text.replace(name, content)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
