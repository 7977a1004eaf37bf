"""Lambda: samples taken run by run, audit events, and what they prove was billed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finops import charges, checks
from finops.errors import ConfigError, DataError, Terminal, Transient
from finops.normalize import canonical
from finops.partition import Window
from finops.raw import Delivery, RawObject, RawStore
from finops.warehouse.local import LocalWarehouse
from providers import http
from providers.http import Pace
from providers.lambda_labs import LambdaLabs, LambdaLabsSettings
from providers.lambda_labs_intervals import Life, Sight, life, slices
from providers.lambda_labs_replies import Event, Thing
from tests.stubs.rig_lambda_labs import answer, event, events, instance, offer, types
from tests.stubs.scripted import Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures" / "lambda_labs"
WINDOW = Window(date(2026, 10, 1), date(2026, 10, 5))
KEY = "secret_lambda_KEY123"


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the client quick, and collect the rests it would make between requests."""
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(20.0, lambda _: None, lambda: 0.0, pauses.append))
    monkeypatch.setenv("LAMBDA_API_KEY", KEY)
    return pauses


class Account:
    """A Lambda account that is asked at times of the test's choice."""

    def __init__(self, script: Script, address: str, store: RawStore, **settings: Any) -> None:
        self._script = script
        self._store = store
        self.provider = LambdaLabs("gpus", LambdaLabsSettings(api_url=address, **settings), Path())

    def at(
        self, time: str, *running: dict[str, Any], told: tuple[dict[str, Any], ...] = ()
    ) -> Delivery:
        """Fetch on `time` (day and hour of October), while these instances are listed."""
        self._show(time, running, told)
        return self.provider.fetch(WINDOW, self._store)

    def fails_at(self, time: str, *running: dict[str, Any], failing: str) -> None:
        """Fetch while one address answers with an error, and take back what is not to stay."""
        self._show(time, running, ())
        self._script.on(failing, Answer(b"{}", 500))
        with pytest.raises(Transient):
            self.provider.fetch(WINDOW, self._store)
        self._store.withdraw()

    def _show(
        self, time: str, running: tuple[dict[str, Any], ...], told: tuple[dict[str, Any], ...]
    ) -> None:
        day, hour = time.split()
        date_header = f"Thu, {day} Oct 2026 {hour} GMT"
        self._script.on("/api/v1/instances", answer({"data": running}, date_header))
        self._script.on("/api/v1/instance-types", types(gpu_1x_a10=75))
        self._script.on("/api/v1/audit-events", events(*told))

    def rows(self, delivery: Delivery) -> pl.DataFrame:
        return rows(self.provider, delivery, self._store)


@pytest.fixture
def account(script: Script, address: str, store: RawStore, rests: list[float]) -> Account:
    return Account(script, address, store)


def rows(provider: LambdaLabs, delivery: Delivery, store: RawStore) -> pl.DataFrame:
    bills = [canonical(bill.rows, bill.raw.name) for bill in provider.charges(delivery, store.path)]
    if not bills:
        return pl.DataFrame(schema={"ResourceId": pl.String})
    return pl.concat(bills, how="diagonal").collect().sort("ResourceId", "ChargePeriodStart")


def recorded(**settings: Any) -> LambdaLabs:
    made = LambdaLabsSettings(recorded=Path("lambda_labs"), **settings)
    return LambdaLabs("gpus", made, FIXTURES.parent)


def times(found: pl.DataFrame) -> list[tuple[str, str, str]]:
    return [
        (
            row["ResourceId"][:2],
            f"{row['ChargePeriodStart']:%dT%H:%M}",
            f"{row['ChargePeriodEnd']:%dT%H:%M}",
        )
        for row in found.iter_rows(named=True)
    ]


def test_recorded_samples_and_events_become_a_bill(store: RawStore) -> None:
    provider = recorded()
    delivery = provider.fetch(WINDOW, store)
    found = rows(provider, delivery, store)
    assert times(found) == [
        ("09", "01T03:30", "02T00:00"),  # launched by event, cut at midnight where the price turns
        ("09", "02T00:00", "02T12:00"),  # terminated by event
        ("1a", "01T18:00", "02T00:00"),  # was still booting at 18:00
        ("1a", "02T00:00", "02T18:00"),  # last seen, unhealthy
        ("2b", "02T08:00", "02T09:30"),  # between two samples: the events and the list of prices
    ]
    assert found["BilledCost"].to_list() == [
        Decimal("490.36"),
        Decimal(276),
        Decimal("4.5"),
        Decimal("13.5"),
        Decimal("1.125"),
    ]
    assert found["x_Provisional"].to_list() == [False, False, False, True, False]
    assert found["x_GpuHours"].to_list() == [164, 96, 6, 18, Decimal("1.5")]
    assert found["x_GpuModel"].to_list() == ["H100"] * 2 + ["A10"] * 3
    assert found["x_InstanceType"][0] == "gpu_8x_h100_sxm5"
    assert found["Tags"][0] == '{"project": "detector", "team": "vision"}'
    assert found["x_CostSource"].unique().to_list() == ["rate_card"]
    assert checks.counts(found) == {}


def test_storage_is_charged_with_a_price_only(store: RawStore) -> None:
    provider = recorded(storage_price_per_gib_month=Decimal("0.2"))
    found = rows(provider, provider.fetch(WINDOW, store), store)
    storage = found.filter(pl.col("ServiceCategory") == "Storage")
    assert storage["PricingUnit"].to_list() == ["GiB-Months"] * 2
    # 1024 GiB for 36 of the month's 720 hours, at 0.20 dollars
    assert storage["BilledCost"].sum() == Decimal("10.24")
    assert storage["ConsumedQuantity"].sum() == Decimal(1024 * 36)
    assert checks.counts(storage) == {}


def test_what_is_seen_twice_ran_in_between(account: Account) -> None:
    running = instance("i1")
    assert account.rows(account.at("01 10:00:00", running)).is_empty()
    assert times(account.rows(account.at("01 11:00:00", running))) == [
        ("i1", "01T10:00", "01T11:00")
    ]
    found = account.rows(account.at("03 09:00:00", running))
    assert times(found) == [
        ("i1", "01T10:00", "02T00:00"),
        ("i1", "02T00:00", "03T00:00"),
        ("i1", "03T00:00", "03T09:00"),
    ]
    assert found["x_Provisional"].to_list() == [False, False, True]


def test_what_is_gone_is_billed_until_it_was_last_seen(account: Account) -> None:
    account.at("01 10:00:00", instance("i1"))
    account.at("01 11:00:00", instance("i1"))
    assert times(account.rows(account.at("01 12:00:00"))) == [("i1", "01T10:00", "01T11:00")]
    late = event("terminated", "i1", "2026-10-01T11:40:00Z")
    found = account.rows(account.at("01 13:00:00", told=(late,)))
    assert times(found) == [("i1", "01T10:00", "01T11:40")]
    assert found["x_Provisional"].to_list() == [False]


def test_a_past_day_stays_as_it_was_when_more_is_seen(account: Account) -> None:
    account.at("01 10:00:00", instance("i1"))
    first = account.rows(account.at("02 10:00:00", instance("i1")))
    gone = event("terminated", "i1", "2026-10-03T11:40:00Z")
    later = account.rows(account.at("03 12:00:00", told=(gone,)))
    assert later.row(0) == first.row(0)


def test_a_price_that_changes_counts_from_half_way_between_the_samples(account: Account) -> None:
    account.at("01 10:00:00", instance("i1", cents=100))
    account.at("01 12:00:00", instance("i1", cents=200))
    found = account.rows(account.at("01 14:00:00", instance("i1", cents=200)))
    assert times(found) == [("i1", "01T10:00", "01T11:00"), ("i1", "01T11:00", "01T14:00")]
    assert found["BilledCost"].to_list() == [Decimal(1), Decimal(6)]
    assert found["ListUnitPrice"].to_list() == [Decimal(1), Decimal(2)]


@pytest.mark.parametrize(
    ("change", "column", "told"),
    [
        ({"tags": []}, "Tags", ['{"team": "vision"}', None]),
        ({"name": "renamed"}, "ResourceName", ["name of i1", "renamed"]),
    ],
)
def test_tags_and_names_that_change_count_from_half_way_between_the_samples(
    change: dict[str, Any], column: str, told: list[str | None], account: Account
) -> None:
    account.at("01 10:00:00", instance("i1"))
    account.at("01 12:00:00", instance("i1") | change)
    found = account.rows(account.at("01 14:00:00", instance("i1") | change))
    assert times(found) == [("i1", "01T10:00", "01T11:00"), ("i1", "01T11:00", "01T14:00")]
    assert found[column].to_list() == told
    assert found["BilledCost"].to_list() == [Decimal("0.75"), Decimal("2.25")]


def test_an_instance_of_unknown_price_is_set_aside_not_dropped(account: Account) -> None:
    told = tuple(
        event(action, "i9", f"2026-10-01T0{hour}:00:00Z", additional_details={})
        for hour, action in ((1, "launched"), (2, "terminated"))
    )
    found = account.rows(account.at("01 10:00:00", told=told))
    assert times(found) == [("i9", "01T01:00", "01T02:00")]
    assert found["BilledCost"].to_list() == [None]
    assert "BilledCost: is missing" in checks.counts(found)


@pytest.mark.parametrize("status", ["booting", "terminating", "terminated", "preempted"])
def test_statuses_that_are_not_billed(status: str, account: Account) -> None:
    account.at("01 10:00:00", instance("i1", status=status))
    assert account.rows(account.at("01 11:00:00", instance("i1", status=status))).is_empty()


def test_action_names_that_nobody_named_are_told(account: Account) -> None:
    strange = event("spun_up", "i1", "2026-10-01T03:00:00Z")
    (issue,) = account.at("01 10:00:00", instance("i1"), told=(strange,)).issues
    assert "spun_up; name them in launch_actions" in issue.message


def test_action_names_are_a_setting(
    script: Script, address: str, store: RawStore, rests: list[float]
) -> None:
    account = Account(script, address, store, launch_actions=("spun_*",))
    strange = event("spun_up", "i1", "2026-10-01T03:00:00Z")
    delivery = account.at("01 10:00:00", instance("i1"), told=(strange,))
    assert delivery.issues == ()
    assert times(account.rows(delivery)) == [("i1", "01T03:00", "01T10:00")]


def test_events_that_failed_or_are_about_something_else(account: Account) -> None:
    running = instance("i1")
    failed = event("terminated", "i1", "2026-10-01T12:00:00Z", result={"status": "failure"})
    other = event("deleted", "i1", "2026-10-01T12:00:00Z", resource_name="ssh_key")
    account.at("01 10:00:00", running)
    found = account.rows(account.at("01 11:00:00", running, told=(failed, other)))
    assert times(found) == [("i1", "01T10:00", "01T11:00")]


def test_without_audit_events_they_are_not_asked_for(
    script: Script, address: str, store: RawStore, rests: list[float]
) -> None:
    account = Account(script, address, store, audit_events=False)
    account.at("01 10:00:00", instance("i1"))
    assert script.asked("/api/v1/audit-events") == []
    assert list(account.provider.probes()) == [
        "the API key may list instances",
        "the API key may read prices",
    ]


def test_it_asks_once_a_second_with_the_key(
    account: Account, script: Script, rests: list[float]
) -> None:
    account.at("01 10:00:00", instance("i1"), told=(event("x", "i1", "2026-10-01T03:00:00Z"),))
    assert [request.path for request in script.requests] == [
        "/api/v1/instances",
        "/api/v1/instance-types",
        "/api/v1/audit-events",
    ]
    assert rests == [1.0, 1.0]
    assert script.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert script.requests[2].parameters == {"start": "2026-08-31T00:00:00Z"}


def test_the_code_of_an_error_tells_whether_it_may_pass(account: Account, script: Script) -> None:
    account.at("01 10:00:00")
    for code, error in (("provider/internal-unavailable", Transient), ("global/x", Terminal)):
        body = f'{{"error": {{"code": "{code}", "message": "m"}}}}'.encode()
        script.on("/api/v1/instances", Answer(body, 409))
        with pytest.raises(error, match=code):
            account.provider.fetch(WINDOW, RawStore(LocalWarehouse(Path("/nonexistent"))))


@pytest.mark.parametrize("failing", ["/api/v1/audit-events", "/api/v1/instance-types"])
def test_a_sample_counts_also_when_the_rest_of_its_run_failed(
    failing: str, account: Account
) -> None:
    for hour in ("05", "06"):
        account.fails_at(f"01 {hour}:00:00", instance("i1"), instance("i9"), failing=failing)
    found = account.rows(account.at("01 08:00:00", instance("i1")))
    assert times(found) == [("i1", "01T05:00", "01T08:00"), ("i9", "01T05:00", "01T06:00")]


def test_lost_samples_erase_no_charge(account: Account, store: RawStore, tmp_path: Path) -> None:
    warehouse = LocalWarehouse(tmp_path / "warehouse")
    account.at("01 10:00:00", instance("i1"))
    delivery = account.at("01 11:00:00", instance("i1"))
    charges.write(account.provider.charges(delivery, store.path), delivery, warehouse)
    for key in list(warehouse.list("samples/")):
        warehouse.delete(key)
    delivery = account.at("01 12:00:00", instance("i1"))
    with pytest.raises(DataError, match=r"0\.75 USD were billed before"):
        charges.write(account.provider.charges(delivery, store.path), delivery, warehouse)


def test_a_gpu_that_the_catalogue_does_not_know(account: Account) -> None:
    strange = instance("i1", "gpu_4x_z9", instance_type=offer("gpu_4x_z9", 100, gpus=4))
    account.at("01 10:00:00", strange)
    found = account.rows(account.at("01 12:00:00", strange))
    assert (found["x_GpuModel"][0], found["x_GpuCount"][0], found["x_GpuHours"][0]) == (None, 4, 8)
    assert "A10 (24 GB PCIe)" in found["x_SourceColumns"][0]


def test_a_sample_that_is_gone_is_named(account: Account, tmp_path: Path) -> None:
    delivery = account.at("01 10:00:00", instance("i1"))
    LocalWarehouse(tmp_path / "warehouse").delete(delivery.objects[0].key)
    with pytest.raises(DataError, match=r"2026-10-01T10:00:00.* is gone"):
        account.rows(delivery)


def test_probes_ask_as_a_run_does(account: Account, script: Script) -> None:
    account.at("01 10:00:00")
    for probe in account.provider.probes().values():
        probe()
    script.on("/api/v1/audit-events", Answer(b"{}", 403))
    with pytest.raises(Terminal, match="account is inactive"):
        account.provider.probes()["the API key may read audit events"]()


def test_a_folder_without_samples(tmp_path: Path, store: RawStore) -> None:
    provider = LambdaLabs("gpus", LambdaLabsSettings(recorded=tmp_path), Path())
    with pytest.raises(Terminal, match="20261001T060000Z"):
        provider.fetch(WINDOW, store)


def test_without_a_key(monkeypatch: pytest.MonkeyPatch, store: RawStore) -> None:
    monkeypatch.delenv("LAMBDA_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="LAMBDA_API_KEY"):
        LambdaLabs("gpus", LambdaLabsSettings(), Path()).fetch(WINDOW, store)


def test_an_address_that_is_none() -> None:
    with pytest.raises(ValidationError, match="https://host"):
        LambdaLabsSettings(api_url="cloud.lambda.ai")


THING = Thing("i", None, "active", "gpu", 1, None, None, None, None)
RAW = RawObject("0" * 64, 0, "sample")
NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)
HOURS = st.integers(-60, 60)


def sight(hour: int, rate: int = 1, *, is_billed: bool = True) -> Sight:
    return Sight(NOON + hour * timedelta(hours=1), THING, Decimal(rate), is_billed, RAW, 0)


def told(hour: int) -> Event:
    return Event(f"{hour}", NOON + hour * timedelta(hours=1), "", ("i",), None, None, 0)


@given(
    st.lists(st.tuples(HOURS, st.integers(1, 3), st.booleans())),
    st.lists(HOURS),
    st.lists(HOURS),
)
def test_nothing_is_billed_without_evidence(
    seen: list[tuple[int, int, bool]], launches: list[int], terminations: list[int]
) -> None:
    sights = [sight(hour, rate, is_billed=billed) for hour, rate, billed in sorted(seen)]
    found = life(sights, [*map(told, launches)], [*map(told, terminations)])
    if found is None:
        return
    evidence = [s.at for s in sights] + [told(hour).at for hour in (*launches, *terminations)]
    assert found.start in evidence
    assert found.end in evidence
    assert found.start < found.end
    billed = [s.at for s in sights if s.is_billed]
    assert all(found.start <= at <= found.end for at in billed)


@given(
    HOURS,
    st.integers(1, 100),
    st.lists(st.tuples(HOURS, st.integers(1, 3)), min_size=1, max_size=8, unique_by=lambda s: s[0]),
)
def test_slices_cover_a_life_once_and_lie_in_one_day_each(
    start: int, hours: int, seen: list[tuple[int, int]]
) -> None:
    begins = NOON + start * timedelta(hours=1)
    one = Life(begins, begins + hours * timedelta(hours=1), "", "", is_open=False)
    parts = list(slices(one, [sight(hour, rate) for hour, rate in sorted(seen)], WINDOW))
    inside = min(one.end, WINDOW.end_at) - max(one.start, WINDOW.start_at)
    covered = sum((part.end - part.start for part in parts), timedelta())
    assert covered == max(inside, timedelta())
    for part, after in pairwise(parts):
        assert part.end == after.start
    for part in parts:
        assert part.start < part.end
        assert (part.end - timedelta(microseconds=1)).date() == part.start.date()
