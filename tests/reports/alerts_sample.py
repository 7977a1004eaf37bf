"""Alerts for the tests of notifiers."""

from decimal import Decimal

from finops.alerting import Alert

HOSTILE = "<!channel> & <script>alert(1)</script>"


def alert(name: str = "Perception", spent: str = "8800", **changes: object) -> Alert:
    """Make an alert at 80 % of a budget of 11,000 USD."""
    facts: dict[str, object] = {
        "cost_center": "perception",
        "name": name,
        "period": "2026-10",
        "threshold": Decimal(80),
        "percent": Decimal(80),
        "spent": Decimal(spent),
        "amount": Decimal(11000),
        "currency": "USD",
        "owners": ("ada@northlight.example",),
    }
    return Alert(**{**facts, **changes})  # type: ignore[arg-type]
