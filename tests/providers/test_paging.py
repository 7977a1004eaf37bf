import pytest

from finops.errors import Terminal, Transient
from providers.paging import pages

BOOK = {None: ("one", "b"), "b": ("two", "c"), "c": ("three", None)}


def test_to_the_end() -> None:
    assert list(pages(lambda token: BOOK[token], "/bill")) == ["one", "two", "three"]


def test_an_empty_token_ends_it() -> None:
    assert list(pages(lambda _: ("one", ""), "/bill")) == ["one"]


def test_a_token_that_comes_again_is_refused() -> None:
    book: dict[str | None, tuple[str, str | None]] = {None: ("one", "b"), "b": ("two", "b")}
    with pytest.raises(Transient, match=r"^/bill: page 3 is one that was read before"):
        list(pages(lambda token: book[token], "/bill"))


def test_there_is_a_most() -> None:
    with pytest.raises(Terminal, match="more than 5 pages"):
        list(pages(lambda token: ("page", f"{token}x"), "/bill", most=5))
