"""Everything that samples and audit events tell of an account, put together by resource."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from finops.partition import Window
from finops.raw import RawObject
from providers import lambda_labs_replies
from providers.lambda_labs_intervals import Life, Sight, Slice, life, slices
from providers.lambda_labs_replies import Event, Priced, Thing


@dataclass(frozen=True, slots=True)
class Actions:
    """Patterns of the audit events' action names that start and end an instance."""

    launch: Sequence[str]
    terminate: Sequence[str]

    def name(self, event: Event) -> bool:
        return event.is_named_by(self.launch) or event.is_named_by(self.terminate)


@dataclass(slots=True)
class Fleet:
    """Collects kept replies with `learn`, then tells with `parts` what was billed when."""

    billed_statuses: Sequence[str]
    actions: Actions
    _sights: dict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))
    _offers: dict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))
    _events: dict[str, list[tuple[Event, RawObject]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def learn(self, kept: RawObject, document: Any) -> None:
        """Take in one kept reply; raises `DataError` for an unknown shape."""
        match kept.receipt.get("kind"):
            case "instances":
                self._see(kept, lambda_labs_replies.instances(document, kept.name))
            case "file_systems":
                self._see(kept, lambda_labs_replies.file_systems(document, kept.name))
            case "types":
                self._price(kept, lambda_labs_replies.prices(document, kept.name))
            case _:
                for event in lambda_labs_replies.events(document, kept.name):
                    for instance_id in event.instance_ids:
                        self._events[instance_id].append((event, kept))

    def parts(self, window: Window) -> Iterator[tuple[Life, Slice]]:
        """Give each resource's time in `window`, cut by day and rate, in order of their ids."""
        for resource_id in sorted({*self._sights, *self._events}):
            sights = sorted(self._sights.get(resource_id, ()), key=lambda sight: sight.at)
            told = [event for event, _ in self._events.get(resource_id, ())]
            lived = life(
                sights,
                [event for event in told if event.is_named_by(self.actions.launch)],
                [event for event in told if event.is_named_by(self.actions.terminate)],
            )
            if lived is not None:
                billed = [sight for sight in sights if sight.is_billed]
                seen = billed or sights or self._unseen(resource_id)
                yield from ((lived, part) for part in slices(lived, seen, window))

    def _see(self, kept: RawObject, things: Sequence[Priced]) -> None:
        for place, found in enumerate(things):
            status = found.thing.status
            is_billed = status is None or status in self.billed_statuses
            sight = Sight(_at(kept), found.thing, found.rate, is_billed, kept, place)
            self._sights[found.thing.id].append(sight)

    def _price(self, kept: RawObject, offers: Mapping[str, Priced]) -> None:
        for place, (name, offer) in enumerate(offers.items()):
            sight = Sight(_at(kept), offer.thing, offer.rate, True, kept, place)
            self._offers[name].append(sight)

    def _unseen(self, instance_id: str) -> list[Sight]:
        """Price an instance that no sample saw as its type was offered at the time.

        Without an offer its cost is unknown: the row says so.
        """
        event, raw = min(self._events[instance_id], key=lambda pair: pair[0].at)
        named = [each for each, _ in self._events[instance_id] if each.instance_type]
        kind = named[0].instance_type if named else None
        offers = sorted(self._offers.get(kind or "", ()), key=lambda sight: sight.at)
        if not offers:
            thing = _told(instance_id, named[0] if named else event, None)
            return [Sight(event.at, thing, None, True, raw, event.row)]
        return [
            Sight(offer.at, _told(instance_id, named[0], offer.thing), *_rest(offer))
            for offer in offers
        ]


def _rest(offer: Sight) -> tuple[Any, bool, RawObject, int]:
    return offer.rate, True, offer.raw, offer.row


def _told(instance_id: str, event: Event, offered: Thing | None) -> Thing:
    return Thing(
        id=instance_id,
        name=None,
        status="unseen",
        type=event.instance_type,
        gpu_count=offered.gpu_count if offered else None,
        gpu_description=offered.gpu_description if offered else None,
        region_id=event.region_id,
        region_name=None,
        tags=None,
    )


def _at(kept: RawObject) -> datetime:
    return datetime.fromisoformat(kept.receipt["sampled_at"]).astimezone(UTC)
