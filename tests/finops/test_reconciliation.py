from decimal import Decimal

from finops import reconciliation
from finops.reconciliation import Seen, Stated

SEEN = {
    "a": Seen(3, {"USD": Decimal("1.10"), "EUR": Decimal(2)}),
    "b": Seen(4, {"USD": Decimal("0.05")}),
}
BOTH = frozenset({"a", "b"})


def test_totals_over_the_objects_they_speak_of() -> None:
    stated = [
        Stated("manifest of October", BOTH, rows=7, billed={"USD": Decimal("1.15")}),
        Stated("manifest of September", frozenset({"a"}), rows=3),
    ]
    found = list(reconciliation.reconcile(stated, SEEN))
    assert [each.agrees for each in found] == [True, True, True]
    assert list(reconciliation.issues(found, "azure")) == []


def test_a_difference_is_said_in_a_sentence() -> None:
    stated = [Stated("manifest.json", BOTH, rows=9, billed={"USD": Decimal(1), "GBP": Decimal(5)})]
    found = list(reconciliation.reconcile(stated, SEEN))
    said = [str(issue).partition(";")[0] for issue in reconciliation.issues(found, "azure")]
    assert said == [
        "azure: manifest.json states 9 rows but 7 were read, 2 fewer",
        "azure: manifest.json states 5 GBP but 0 were read, 5 fewer",
        "azure: manifest.json states 1 USD but 1.15 were read, 0.15 more",
    ]


def test_up_to_the_tolerance_it_agrees() -> None:
    close = Stated(
        "Cost Explorer", BOTH, billed={"USD": Decimal("1.16")}, tolerance=Decimal("0.01")
    )
    (found,) = reconciliation.reconcile([close], SEEN)
    assert found.agrees
    assert found.difference == Decimal("-0.01")


def test_an_object_without_rows_counts_as_none() -> None:
    (found,) = reconciliation.reconcile([Stated("manifest", frozenset({"c"}), rows=1)], SEEN)
    assert not found.agrees
    assert found.found == 0
