"""A company's past as its bills and events told it, day by day and in the end.

What a day's run could read is written by `Past.known_on`: usage of the days before, some of it
restated a day later, what is late, and events of work, some of them late. Every charge is final
and every workload told within the days that an hourly run looks at again.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from finops.partition import Window

SETTINGS = """
[sources.bill]
provider = "focus"
path = "bills"

[sources.tracked]
provider = "sdk"
path = "events"
"""

ORGANIZATION = """
[cost_centers.vision]
type = "team"
name = "Vision"

[cost_centers.web]
type = "team"
name = "Web"

[cost_centers.maps]
type = "team"
name = "Maps"
valid_from = {turn}

[[rules]]
id = "maps"
match = {{ Tags.team = "web" }}
cost_center = "maps"
valid_from = {turn}

[[rules]]
id = "team-tag"
match = {{ Tags.team = true }}
cost_center_from = "Tags.team"

[[rules]]
id = "network"
match = {{ ServiceCategory = "Networking" }}
split = "shared"

[idle]
split = "shared"

[splits.shared]
method = "fixed"
shares = {{ vision = 0.333, web = 0.667 }}
"""

NAMES = (
    *("BilledCost", "EffectiveCost", "ListCost", "BillingCurrency", "ChargeCategory"),
    *("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"),
    *("ServiceProviderName", "ServiceName", "ServiceCategory", "ResourceId", "Tags"),
    *("ConsumedQuantity", "ConsumedUnit", "x_GpuHours", "x_GpuCount", "x_GpuModel"),
)
GPU_NODE = "i-node"
SAID_WITHIN = timedelta(days=9)
SAID_AFTER = (timedelta(0), timedelta(days=1), timedelta(days=2), SAID_WITHIN)
"""After how many days something of a day is told: work, its bill, late work, late charges."""


@dataclass(frozen=True, slots=True)
class Past:
    """What happened in `window`, on every `stride`-th of its days."""

    window: Window
    stride: int = 1

    @property
    def turn(self) -> date:
        """The day on which the organization changes."""
        return self.window.start + (self.window.end - self.window.start) / 2

    @property
    def days(self) -> Sequence[date]:
        """The days on which something was used."""
        return list(self.window.days())[:: self.stride]

    @property
    def told(self) -> Sequence[date]:
        """The days on which bills or events said something new."""
        within = Window(self.window.start, self.window.end + SAID_WITHIN)
        return [today for today in within.days() if any(today - d in SAID_AFTER for d in self.days)]

    def install(self, folder: Path) -> Path:
        """Make an installation of what `finops init` made, one that has read nothing yet."""
        (folder / "bills").mkdir()
        (folder / "events").mkdir()
        with (folder / "finops.toml").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        text = ORGANIZATION.format(turn=self.turn)
        (folder / "organization.toml").write_text(text, encoding="utf-8")
        return folder

    def known_on(self, today: date, folder: Path) -> None:
        """Write bills and events as they were told in the evening of `today`."""
        bills: dict[str, list[dict[str, str]]] = {}
        for day in self.days:
            for row in self._charges(day, today):
                bills.setdefault(row["BillingPeriodStart"][:7], []).append(row)
        for period, rows in bills.items():
            path = folder / "bills" / f"{period}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, NAMES, lineterminator="\n", restval="")
                writer.writeheader()
                writer.writerows(rows)
        lines = [json.dumps(event) for day in self.days for event in _events(day, today)]
        text = "".join(f"{line}\n" for line in lines)
        (folder / "events" / "events.jsonl").write_text(text, encoding="utf-8")

    def _charges(self, day: date, today: date) -> Iterator[dict[str, str]]:
        place = self.days.index(day)
        if today <= day:  # the bill of a day comes the day after
            return
        is_restated = place % 4 == 1 and today > day + timedelta(days=1)
        node = Decimal(24 if is_restated else 23) + Decimal(place) / 1000
        machine = charge(day, node, ResourceId=GPU_NODE, ServiceCategory="Compute")
        yield machine | _gpus(8)
        team = "web" if place % 3 else "vision"
        yield charge(day, Decimal(place % 7) + Decimal("0.1"), Tags=json.dumps({"team": team}))
        if place % 5 == 0:
            yield charge(day, Decimal("1.01"), ServiceCategory="Networking")
        if place % 6 == 2 and today >= day + SAID_WITHIN:
            yield charge(day, Decimal("3.3"), ServiceName="Late")
        if place % 6 == 1 and today < day + SAID_WITHIN:
            yield charge(day, Decimal("8.8"), ServiceName="Taken back")
        if place % 9 == 0:
            yield _fee(day)
        if day - timedelta(days=7) > self.window.start and day.day <= 7:
            # A credit that this month's bill gives for a day of the month before.
            before = day - timedelta(days=7)
            yield charge(before, Decimal("-2.5"), billed_in=day, Tags="{}")


def charge(
    day: date, cost: Decimal, *, billed_in: date | None = None, **more: str
) -> dict[str, str]:
    """Make a row of a FOCUS bill for one day."""
    month = (billed_in or day).replace(day=1)
    return {
        "BilledCost": str(cost),
        "EffectiveCost": str(cost * Decimal("0.9")),
        "ListCost": str(cost * 2),
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage" if cost > 0 else "Credit",
        "BillingPeriodStart": f"{month}T00:00:00Z",
        "BillingPeriodEnd": f"{_next(month)}T00:00:00Z",
        "ChargePeriodStart": f"{day}T00:00:00Z",
        "ChargePeriodEnd": f"{day + timedelta(days=1)}T00:00:00Z",
        "ServiceProviderName": "AWS",
        "ServiceName": "Compute",
        "ServiceCategory": "Other",
        **more,
    }


def _gpus(count: int) -> dict[str, str]:
    return {
        "ConsumedQuantity": "24",
        "ConsumedUnit": "Hours",
        "x_GpuHours": str(24 * count),
        "x_GpuCount": str(count),
        "x_GpuModel": "H100",
    }


def _fee(day: date) -> dict[str, str]:
    """Make a fee of six days for the node: who works on it in the days to come shares it, too."""
    row = charge(day, Decimal(100), ResourceId=GPU_NODE, ServiceName="Support")
    return {**row, "ChargePeriodEnd": f"{day + timedelta(days=6)}T00:00:00Z"}


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _events(day: date, today: date) -> Iterator[dict[str, object]]:
    """Tell of the work that began on `day`: now and then over midnight, now and then late."""
    number = day.toordinal()
    told_late = number % 4 == 0
    if today < day + timedelta(days=2 if told_late else 0) or number % 5 == 0:
        return
    length = timedelta(hours=30 if number % 2 else 9)
    begun = f"{day}T08:00:00Z"
    for team, gpus in (("vision", "3"), ("web", "2")):
        name = f"{team}-{day}"
        yield {
            "format": "finops-event/1",
            "id": f"{name}-start",
            "event": "start",
            "workload_id": name,
            "at": begun,
            "resource_id": GPU_NODE,
            "gpu_count": gpus,
            "cost_per_hour": "1.25",
            "currency": "USD",
            "provider": "aws",
            "tags": {"team": team},
        }
        over = day + timedelta(days=1) if length > timedelta(hours=16) else day
        if today >= over:
            hour = 8 + length.total_seconds() / 3600 - 24 * (over - day).days
            at = f"{over}T{int(hour):02}:00:00Z"
            yield {
                "format": "finops-event/1",
                "id": f"{name}-end",
                "event": "end",
                "workload_id": name,
                "at": at,
            }
