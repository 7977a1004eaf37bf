import pytest

from finops import progress


class Ear(progress.Listener):
    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def advance(self, what: str, units: int) -> None:
        self.heard.append((what, units))


def test_only_the_innermost_listener_hears() -> None:
    outer, inner = Ear(), Ear()
    with progress.heard_by(outer):
        progress.advance("attribute", 3)
        with progress.heard_by(inner):
            progress.advance("attribute", 4)
        progress.advance("attribute", 5)
    progress.advance("attribute", 6)
    assert outer.heard == [("attribute", 3), ("attribute", 5)]
    assert inner.heard == [("attribute", 4)]


def test_a_fault_does_not_leave_the_listener_behind() -> None:
    ear = Ear()
    with pytest.raises(RuntimeError), progress.heard_by(ear):
        raise RuntimeError
    progress.advance("attribute", 1)
    assert ear.heard == []
