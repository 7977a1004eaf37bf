import json
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops import posting
from finops.attribution import MEASURES
from finops.errors import FinopsError, LedgerError, Overtaken
from finops.ledger import Ledger, verify
from finops.partition import Partition
from tests.finops.broken_stores import Killed, KilledAt, Meanwhile
from tests.finops.company import KEY, OCTOBER, ORIGIN, Company, csv, deliver, snapshot

RULES = """
cost_centers.ml = { type = "team", name = "ML" }
cost_centers.web = { type = "team", name = "Web" }
splits.shared = { method = "fixed", shares = { ml = 0.7, web = 0.3 } }

[[rules]]
id = "support"
match = { ServiceName = "Support" }
split = "shared"

[[rules]]
id = "tag"
match = { Tags.team = true }
cost_center_from = "Tags.team"
"""
BILL = """
ChargePeriodStart,ResourceId,BilledCost,ServiceName,Tags
2026-10-02,i-1,1.00,EC2,"{""team"":""ml""}"
2026-10-02,i-2,2.00,EC2,"{""team"":""web""}"
2026-10-02,i-2,2.00,EC2,"{""team"":""web""}"
2026-10-03,i-3,0.01,Support,
2026-10-03,i-4,-5.00,EC2,
"""
SUMS = {"ml": Decimal("1.007"), "web": Decimal("4.003"), None: Decimal(-5)}
EVIDENCE = ["src", "src_row"]


@pytest.fixture
def posted(tmp_path: Path) -> Company:
    company = Company.of(tmp_path / "company", RULES)
    company.deliver(BILL)
    company.post()
    return company


def signed(company: Company, batch: int) -> Counter[tuple[str, str | None, Decimal]]:
    """List what a batch says: kind, cost center, amount."""
    rows = company.entries().filter(pl.col("index") == batch)
    return Counter(rows.select("kind", "cost_center", "billed_cost").rows())


def test_the_first_batch(posted: Company) -> None:
    assert posted.sums() == SUMS
    assert posted.entries().height == 6
    assert verify(posted.warehouse).ok


def test_running_again_changes_no_byte(posted: Company) -> None:
    before = snapshot(posted.root)
    posted.deliver(BILL)
    assert posted.post() is None
    assert snapshot(posted.root) == before


def test_attributing_again_makes_no_batch(posted: Company) -> None:
    """Even when a worker attributes what did not change, nothing is appended."""
    before = snapshot(posted.root)
    for partition in posted.ledger.partition_idem():
        done = posting.attribute(posted.warehouse, partition, posted.organization)
        assert posting.post(posted.warehouse, posted.ledger, [done], posted.facts) is None
    assert snapshot(posted.root) == before


def test_a_restated_row_is_reversed_exactly_and_said_anew(posted: Company) -> None:
    posted.deliver(BILL.replace("i-1,1.00", "i-1,1.25"))
    appended = posted.post()
    assert appended is not None
    assert appended.rows == 2
    assert signed(posted, appended.index) == {
        ("reversal", "ml", Decimal(-1)): 1,
        ("allocation", "ml", Decimal("1.25")): 1,
    }
    assert posted.sums() == SUMS | {"ml": Decimal("1.257")}
    assert verify(posted.warehouse).ok


def test_a_reversal_names_its_entry_and_negates_every_measure(posted: Company) -> None:
    posted.deliver(BILL.replace("i-3,0.01", "i-3,0.02"))
    posted.post()
    entries = posted.entries()
    for reversal in entries.filter(pl.col("kind") == "reversal").rows(named=True):
        undone = posted.ledger.entry(reversal["corrects"])
        assert undone["charge_id"] == reversal["charge_id"]
        assert undone["cost_center"] == reversal["cost_center"]
        for measure in MEASURES:
            assert (reversal[measure] or 0) == -(undone[measure] or 0)  # type: ignore[operator]
    assert entries.filter(pl.col("kind") == "reversal").height == 2


def test_a_vanished_day_is_reversed(posted: Company) -> None:
    posted.deliver("\n".join(line for line in BILL.splitlines() if "2026-10-03" not in line))
    appended = posted.post()
    assert appended is not None
    assert posted.sums() == {"ml": Decimal(1), "web": Decimal(4)}
    assert posted.post() is None
    third = next(each for each in posted.ledger.partition_idem() if each.day.day == 3)
    assert posted.ledger.live(third).is_empty()


def test_a_row_that_comes_back_is_said_again(posted: Company) -> None:
    posted.deliver(BILL.replace("i-1,1.00", "i-1,1.25"))
    posted.post()
    posted.deliver(BILL)
    appended = posted.post()
    assert appended is not None
    assert appended.rows == 2
    assert posted.sums() == SUMS
    assert verify(posted.warehouse).ok


def test_one_of_two_identical_rows_goes(posted: Company) -> None:
    lines = BILL.strip().splitlines()
    lines.remove(lines[3])
    posted.deliver("\n".join(lines))
    appended = posted.post()
    assert appended is not None
    assert signed(posted, appended.index) == {("reversal", "web", Decimal(-2)): 1}
    assert posted.sums() == SUMS | {"web": Decimal("2.003")}


def test_new_rules_move_only_what_they_change(posted: Company) -> None:
    moved = Company.of(posted.root, RULES.replace("ml = 0.7, web = 0.3", "ml = 0.6, web = 0.4"))
    appended = moved.post()
    assert appended is not None
    assert appended.rows == 4
    assert moved.sums() == SUMS | {"ml": Decimal("1.006"), "web": Decimal("4.004")}


def test_a_new_owner_or_budget_is_no_new_rule(posted: Company) -> None:
    renamed = Company.of(posted.root, RULES.replace('name = "ML"', 'name = "X", owners = ["a@b"]'))
    assert renamed.post() is None


def test_row_order_changes_no_allocation_and_no_entry(posted: Company, tmp_path: Path) -> None:
    header, *lines = BILL.strip().splitlines()
    other = Company.of(tmp_path / "other", RULES)
    other.deliver("\n".join([header, *reversed(lines)]))
    other.post()
    same, entries = posted.entries(), other.entries()
    assert entries.drop(EVIDENCE).equals(same.drop(EVIDENCE))
    assert not entries.equals(same), "where a row was read is evidence, and part of the entry"


def test_a_bill_in_another_order_is_no_news(posted: Company) -> None:
    header, *lines = BILL.strip().splitlines()
    batches = posted.ledger.batches()
    posted.deliver("\n".join([header, *reversed(lines)]))
    assert posted.post() is None
    assert posted.ledger.batches() == batches


def test_two_companies_with_the_same_bill_have_the_same_bytes(
    posted: Company, tmp_path: Path
) -> None:
    twin = Company.of(tmp_path / "twin", RULES)
    twin.deliver(BILL)
    twin.post()
    assert snapshot(twin.root) == snapshot(posted.root)


def test_an_open_replacement_is_finished_before_anything_is_attributed(posted: Company) -> None:
    store, calls = posted.warehouse, 0
    changed = BILL.replace("i-1,1.00", "i-1,9.00")
    while not list(store.list("intents/")):
        calls += 1
        with pytest.raises(Killed):
            _delivered_through(KilledAt(store, calls), changed)
    posted.post()
    assert posted.sums() == SUMS | {"ml": Decimal("9.007")}


def _delivered_through(store: KilledAt, text: str) -> None:
    deliver(store, csv(text))


def test_killed_anywhere_the_next_run_completes_it(posted: Company, tmp_path: Path) -> None:
    posted.deliver(BILL.replace("i-1,1.00", "i-1,1.25"))
    alive, calls = True, 0
    while alive:
        company = replace(posted, root=tmp_path / str(calls))
        shutil.copytree(posted.root, company.root)
        try:
            company.post(KilledAt(company.warehouse, calls))
            alive = False
        except Killed:
            company.post()
        assert company.sums() == SUMS | {"ml": Decimal("1.257")}
        assert len(company.ledger.batches()) == 3, "genesis, the bill, one correction"
        assert verify(company.warehouse).ok
        calls += 1
    assert calls > 20


def interleaved(company: Company, at: int, bill: str) -> int:
    """Post a restated bill while another poster, before call `at`, delivers and posts `bill`.

    Returns how many calls the first poster made to the warehouse.
    """

    def other() -> None:
        company.deliver(bill)
        company.post()

    store = Meanwhile(company.warehouse, at, other)
    company.deliver(BILL.replace("2.00", "3.00"))
    ledger = Ledger(store, ORIGIN, KEY)
    changed = posting.changed(company.warehouse, ledger, company.organization, OCTOBER)
    done = [posting.attribute(company.warehouse, each, company.organization) for each in changed]
    store.calls = 0
    posting.post(store, ledger, done, company.facts)
    return store.calls


@pytest.mark.slow
@pytest.mark.parametrize("cost", ["3.00", "4.00"])
def test_two_posters_make_one_truth_however_they_interleave(
    cost: str, posted: Company, tmp_path: Path
) -> None:
    at, calls = 1, 1
    while at <= calls:
        company = replace(posted, root=tmp_path / str(at))
        shutil.copytree(posted.root, company.root)
        calls = interleaved(company, at, BILL.replace("2.00", cost))
        told = company.entries()
        assert told.get_column("corrects").drop_nulls().is_unique().all()
        company.post()
        assert company.sums() == SUMS | {"web": 2 * Decimal(cost) + Decimal("0.003")}, f"call {at}"
        assert verify(company.warehouse).ok
        at += 1
    assert at > 10


def test_a_poster_that_is_overtaken_every_time_says_so(posted: Company) -> None:
    prices = iter(f"{number}.00" for number in range(3, 100))

    class Overtaking(Ledger):
        def live(self, partition: Partition) -> pl.DataFrame:
            seen = super().live(partition)
            posted.deliver(BILL.replace("2.00", next(prices)))
            posted.post()
            return seen

    posted.deliver(BILL.replace("2.00", next(prices)))
    store, ledger = posted.warehouse, Overtaking(posted.warehouse, ORIGIN, KEY)
    changed = posting.changed(store, ledger, posted.organization, OCTOBER)
    done = [posting.attribute(store, each, posted.organization) for each in changed]
    with pytest.raises(Overtaken, match=r"another run posted .* run again") as caught:
        posting.post(store, ledger, done, posted.facts)
    assert "Ledger.live" not in str(caught.value)
    assert verify(store).ok


def test_a_ledger_without_a_key_is_not_written(tmp_path: Path) -> None:
    company = Company.of(tmp_path, RULES)
    company.deliver(BILL)
    ledger = Ledger(company.warehouse, ORIGIN)
    changed = posting.changed(company.warehouse, ledger, company.organization, OCTOBER)
    done = [posting.attribute(company.warehouse, each, company.organization) for each in changed]
    with pytest.raises(LedgerError):
        posting.post(company.warehouse, ledger, done, company.facts)
    assert list(company.warehouse.list("ledger/")) == []
    assert list(company.warehouse.list("settled/")) == []


def test_settling_does_not_outlive_the_ledger(posted: Company) -> None:
    """A ledger that was restored from an older backup gets its entries again."""
    for key in list(posted.warehouse.list("ledger/")):
        posted.warehouse.delete(key)
    assert posted.post() is not None
    assert posted.sums() == SUMS


def test_every_input_is_named_with_its_digest(posted: Company) -> None:
    (key,) = [key for key in posted.warehouse.list("raw/") if not key.endswith(".json")]
    assert set(posted.entries().get_column("src")) == {key.removeprefix("raw/")}
    manifest = posted.ledger.batches()[1].manifest
    told = json.loads(posted.warehouse.read(f"ledger/man/{manifest}.json"))
    size = len(posted.warehouse.read(key))
    named = {"name": "bill", "sha256": key[4:], "size_bytes": str(size), "source": "acme"}
    assert [each["inputs"] for each in told["partitions"]] == [[named], [named]]


COSTS = st.dictionaries(
    st.sampled_from(["i-1", "i-2", "i-3", "i-4"]),
    st.tuples(
        st.integers(2, 3),
        st.decimals(-(10**6), 10**6, places=18),
        st.sampled_from(["EC2", "Support"]),
        st.sampled_from(["", '"{""team"":""ml""}"', '"{""team"":""web""}"']),
    ),
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(COSTS.filter(bool), min_size=1, max_size=3))
def test_the_ledger_follows_the_newest_bill(
    tmp_path_factory: pytest.TempPathFactory, bills: list[dict[str, tuple[int, Decimal, str, str]]]
) -> None:
    company = Company.of(tmp_path_factory.mktemp("company"), RULES)
    header = "ChargePeriodStart,ResourceId,BilledCost,ServiceName,Tags"
    for bill in bills:
        lines = [
            f"2026-10-0{day},{name},{cost:f},{service},{tags}"
            for name, (day, cost, service, tags) in bill.items()
        ]
        company.deliver("\n".join([header, *lines]))
        company.post()
        entries = company.entries()
        total = sum(cost for _, cost, _, _ in bill.values())
        assert Decimal(entries.get_column("billed_cost").sum()) == total
        by_resource = entries.group_by("resource").agg(pl.col("billed_cost").sum())
        live = {name: Decimal(cost) for name, cost in by_resource.iter_rows() if cost}
        assert live == {name: cost for name, (_, cost, _, _) in bill.items() if cost}
    assert not entries.height or verify(company.warehouse).ok
    assert Ledger(company.warehouse, ORIGIN, KEY).head() is not None or not entries.height


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond a few bytes, as on a disk without space."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.parametrize("step", ["attribute", "post"])
def test_a_full_disk(step: str, posted: Company) -> None:
    posted.deliver(BILL.replace("2.00", "3.00"))
    store, ledger = posted.warehouse, posted.ledger
    (partition,) = posting.changed(store, ledger, posted.organization, OCTOBER)
    done = posting.attribute(store, partition, posted.organization)
    attempts: dict[str, Callable[[], object]] = {
        "attribute": lambda: posting.attribute(store, partition, posted.organization),
        "post": lambda: posting.post(store, ledger, [done], posted.facts),
    }
    with pytest.raises(FinopsError, match="free space"), full_disk():
        attempts[step]()
    assert posted.sums() == SUMS


def test_a_partition_is_found_once(posted: Company) -> None:
    posted.deliver(BILL.replace("2.00", "3.00"))
    found = posting.changed(posted.warehouse, posted.ledger, posted.organization, OCTOBER)
    assert [each.day.day for each in found] == [2]
    assert all(isinstance(each, Partition) for each in found)
