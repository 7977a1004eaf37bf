"""Whatever a provider's interface does, no partition is half replaced and the others go on."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tomli_w

from finops import config, workloads
from finops.charges import CHARGES, QUARANTINE, partitions
from finops.errors import DataError, ProviderError, Terminal, Transient
from finops.partition import Window
from finops.warehouse.local import LocalWarehouse
from flows.ingest import ingest_sources
from providers import http, intake
from providers.http import Pace
from providers.intake import Taken, Taking
from tests.finops.company import csv, snapshot
from tests.stubs.faults import CUT, Fault, standard_faults
from tests.stubs.rig import Answers, Endpoint, Rig
from tests.stubs.rigs import RIGS
from tests.stubs.scripted import Answer, Script

SOURCE = "gpu-cloud"
DENIED = (403, 404)

every_rig = pytest.mark.parametrize("rig", RIGS.values(), ids=RIGS)
every_endpoint = pytest.mark.parametrize(
    ("rig", "endpoint"),
    [
        pytest.param(rig, endpoint, id=f"{rig.provider} {endpoint[1]}")
        for rig in RIGS.values()
        for endpoint, answers in rig.good.items()
        if answers[0].status == 200
    ],
)


@dataclass(frozen=True)
class Bench:
    """An installation whose one source asks the scripted server."""

    script: Script
    address: str
    folder: Path
    pauses: list[float]

    @property
    def warehouse(self) -> LocalWarehouse:
        return LocalWarehouse(self.folder / "warehouse")

    @property
    def config(self) -> Path:
        return self.folder / "finops.toml"

    def configure(self, rig: Rig, **others: Any) -> None:
        source = {"provider": rig.provider, **rig.settings(self.address)}
        settings = {
            "company": "Acme",
            "ledger": {"origin": "acme.example/finops"},
            "sources": {SOURCE: source, **others},
        }
        self.config.write_text(tomli_w.dumps(settings), encoding="utf-8")

    def answer(self, rig: Rig, answers: Answers | None = None) -> None:
        for (method, path), told in {**rig.good, **(answers or {})}.items():
            self.script.on(path, *told, method=method)

    def take(self, rig: Rig, answers: Answers | None = None) -> Taken:
        self.answer(rig, answers)
        settings = config.load(self.config)
        return intake.take(settings, self.warehouse, Taking(SOURCE, rig.window))


def pace(pauses: list[float], timeout_seconds: float = 20.0) -> Pace:
    return Pace(timeout_seconds, pauses.append, jitter=lambda: 0.0, rest=lambda _: None)


@pytest.fixture
def bench(script: Script, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", pace(pauses))
    for rig in RIGS.values():
        for variable, value in rig.environment.items():
            monkeypatch.setenv(variable, value.replace("{address}", address))
    return Bench(script, address, tmp_path, pauses)


def told(taken: Taken) -> int:
    rows = taken.charges.rows if taken.charges else 0
    return rows + (taken.workloads.rows if taken.workloads else 0)


def billed(taken: Taken) -> dict[str, Decimal]:
    return taken.charges.billed if taken.charges else {}


def standing(warehouse: LocalWarehouse, window: Window) -> int:
    """Count the rows that the warehouse holds now."""
    keys = [
        partition.key(table)
        for table in (CHARGES, QUARANTINE)
        for partition in partitions(warehouse, table)
    ]
    charged = [pl.read_parquet(warehouse.local(key), columns=["x_RawRow"]) for key in keys]
    return sum(map(len, charged)) + workloads.read(warehouse, window).collect().height


def says(fault: Fault, endpoint: Endpoint, rig: Rig) -> str:
    """What the message must hold; replies that are no JSON are cut in their own way."""
    return rig.cut_says.get(endpoint, fault.says) if fault.says == CUT else fault.says


@every_endpoint
@pytest.mark.parametrize("fault", standard_faults(Answer(b'{"a": 1}')), ids=lambda f: f.name)
def test_a_fault_passes_or_leaves_everything_as_it_was(
    fault: Fault, endpoint: Endpoint, rig: Rig, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.configure(rig)
    assert told(bench.take(rig)) == rig.rows
    monkeypatch.setattr(http, "PACE", pace(bench.pauses, fault.timeout_seconds))
    before = snapshot(bench.warehouse.root)
    good = () if fault.repeats else rig.good[endpoint]
    if fault.raises is None:
        taken = bench.take(rig, {endpoint: (*fault.answers, *good)})
        assert told(taken) == rig.rows
        assert bench.pauses == list(fault.waits)
        return
    error = rig.cut_raises.get(endpoint, fault.raises) if fault.says == CUT else fault.raises
    with pytest.raises(error) as caught:
        bench.take(rig, {endpoint: (*fault.answers, *good)})
    assert type(caught.value) is error
    assert says(fault, endpoint, rig) in str(caught.value)
    assert rig.secret not in str(caught.value)
    assert snapshot(bench.warehouse.root) == before


@every_endpoint
@pytest.mark.parametrize("status", DENIED)
def test_a_refusal_is_not_tried_again_and_says_what_to_grant(
    status: int, endpoint: Endpoint, rig: Rig, bench: Bench
) -> None:
    bench.configure(rig)
    bench.take(rig)
    if status in rig.survives.get(endpoint, frozenset()):
        return
    before = snapshot(bench.warehouse.root)
    with pytest.raises(Terminal, match=r"; .{20}") as caught:
        bench.take(rig, {endpoint: (Answer(b'{"message": "no"}', status),)})
    assert str(status) in str(caught.value)
    assert rig.secret not in str(caught.value)
    assert bench.pauses == []
    assert snapshot(bench.warehouse.root) == before


@every_rig
def test_an_empty_window_is_legal_and_written_down(rig: Rig, bench: Bench) -> None:
    bench.configure(rig)
    assert told(bench.take(rig, rig.empty)) == 0
    settings = config.load(bench.config)
    assert intake.is_taken(settings, bench.warehouse, Taking(SOURCE, rig.window))


@every_rig
def test_an_empty_reply_that_a_second_one_contradicts_erases_nothing(
    rig: Rig, bench: Bench
) -> None:
    bench.configure(rig)
    bench.take(rig)
    doubtful = {each: (*empty, *rig.good[each]) for each, empty in rig.empty.items()}
    if rig.refuses_empty:
        with pytest.raises(DataError, match="nothing was taken back"):
            bench.take(rig, doubtful)
    else:
        bench.take(rig, doubtful)
    assert standing(bench.warehouse, rig.window) == rig.rows


@every_rig
def test_late_rows_replace_the_partition_and_the_old_reply_stays(rig: Rig, bench: Bench) -> None:
    bench.configure(rig)
    bench.take(rig)
    evidence = set(bench.warehouse.list("raw/"))
    assert told(bench.take(rig, rig.late)) == rig.late_rows
    assert standing(bench.warehouse, rig.window) == rig.late_rows
    assert evidence < set(bench.warehouse.list("raw/"))


@every_rig
def test_the_same_again_changes_nothing(rig: Rig, bench: Bench) -> None:
    bench.configure(rig)
    bench.take(rig)
    tables = (f"{CHARGES}/", f"{QUARANTINE}/", "workloads/")
    before = {
        key: bench.warehouse.read(key) for each in tables for key in bench.warehouse.list(each)
    }
    bench.take(rig)
    after = {
        key: bench.warehouse.read(key) for each in tables for key in bench.warehouse.list(each)
    }
    assert before == after


@every_rig
def test_a_field_that_nobody_knows_costs_nothing(rig: Rig, bench: Bench) -> None:
    bench.configure(rig)
    plain = billed(bench.take(rig))
    taken = bench.take(rig, rig.unknown_column)
    assert (told(taken), billed(taken)) == (rig.rows, plain)


@every_rig
def test_a_renamed_sku_loses_no_row(rig: Rig, bench: Bench) -> None:
    bench.configure(rig)
    assert told(bench.take(rig, rig.renamed)) == rig.rows
    assert standing(bench.warehouse, rig.window) == rig.rows


@pytest.mark.parametrize(
    ("rig", "endpoint"),
    [
        pytest.param(rig, endpoint, id=f"{rig.provider} {endpoint[1]}")
        for rig in RIGS.values()
        for endpoint in rig.pages
    ],
)
def test_pages_come_to_the_end_or_not_at_all(endpoint: Endpoint, rig: Rig, bench: Bench) -> None:
    first, second = rig.pages[endpoint]
    bench.configure(rig)
    assert told(bench.take(rig, {endpoint: (first, second)})) == rig.rows
    before = snapshot(bench.warehouse.root)
    failing: dict[str, tuple[type[ProviderError], tuple[Answer, ...]]] = {
        "half-way": (Transient, (first, Answer(b"", 500))),
        "refused": (Terminal, (first, Answer(b"", 401))),
        "the same page for ever": (Transient, (first,)),
    }
    for error, answers in failing.values():
        with pytest.raises(error):
            bench.take(rig, {endpoint: answers})
        assert snapshot(bench.warehouse.root) == before


@every_rig
def test_a_provider_that_is_down_for_a_day_stops_no_other(rig: Rig, bench: Bench) -> None:
    bill = bench.folder / "bill.csv"
    bill.write_bytes(csv("BilledCost\n5"))
    bench.configure(rig, good={"provider": "focus", "path": "bill.csv"})
    down = {endpoint: (Answer(b"", 503),) for endpoint in rig.good}
    bench.answer(rig, down)
    outcomes = ingest_sources(str(bench.config), None, rig.window, rig.window.end)
    assert [taken.source for taken in outcomes.results] == ["good"]
    (failure,) = outcomes.failures
    assert failure.what == SOURCE
    assert "503" in str(failure)
    bench.answer(rig)
    outcomes = ingest_sources(str(bench.config), None, rig.window, rig.window.end)
    assert {taken.source for taken in outcomes.results} == {SOURCE, "good"}
