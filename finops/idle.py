"""What becomes of GPU time that was paid for and that nobody held."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from pydantic import model_validator

from finops.errors import Issue
from finops.identity import Slug
from finops.settings import Frozen, suggestion


class IdlePolicy(Frozen):
    """Idle time goes to `cost_center`, or is divided by `split`; else the rules say whose it is."""

    cost_center: Slug | None = None
    split: str | None = None

    @model_validator(mode="after")
    def _one_outcome(self) -> "IdlePolicy":
        if self.cost_center is not None and self.split is not None:
            raise ValueError("write cost_center or split, not both (neither: whose the charge is)")
        return self


class Idle(IdlePolicy):
    """The policy for all, and those for what `owners` and the cost centers below them own.

    The owner is the cost center that the rules name for the charge.
    """

    owners: Mapping[Slug, IdlePolicy] = {}

    @property
    def policies(self) -> dict[str, IdlePolicy]:
        """Give every policy by what it is called."""
        return {"idle": self} | {f"idle.owners.{key}": each for key, each in self.owners.items()}

    def policy(self, lineage: Sequence[str]) -> tuple[str, IdlePolicy]:
        """Find the policy for an owner by its lineage, nearest first, and what it is called."""
        for center in lineage:
            if center in self.owners:
                return f"idle.owners.{center}", self.owners[center]
        return "idle", self


def broken_references(
    idle: Idle, centers: Collection[str], splits: Collection[str], name: str
) -> Iterator[Issue]:
    """Find the cost centers and splits that the policies name and that do not exist."""
    for owner in idle.owners:
        if owner not in centers:
            hint = suggestion(owner, list(centers))
            yield Issue(
                f"{name}: idle.owners.{owner}", f"there is no cost center {owner!r}; {hint}"
            )
    for where, policy in idle.policies.items():
        if policy.cost_center is not None and policy.cost_center not in centers:
            hint = suggestion(policy.cost_center, list(centers))
            yield Issue(
                f"{name}: {where}.cost_center",
                f"there is no cost center {policy.cost_center!r}; {hint}",
            )
        if policy.split is not None and policy.split not in splits:
            hint = suggestion(policy.split, list(splits))
            yield Issue(f"{name}: {where}.split", f"there is no split {policy.split!r}; {hint}")
