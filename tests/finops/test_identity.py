import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops.identity import slug


@pytest.mark.parametrize("name", ["AI Division", "ai-division", "ai_division", " AI  Division! "])
def test_spellings_of_one_name(name: str) -> None:
    assert slug(name) == "ai_division"


@pytest.mark.parametrize(("name", "id_"), [("Zürich", "zurich"), ("R&D", "r_d"), ("研究", "")])
def test_other_alphabets(name: str, id_: str) -> None:
    assert slug(name) == id_


@given(st.text())
def test_a_slug_is_its_own_slug(name: str) -> None:
    assert slug(slug(name)) == slug(name)


@given(st.text())
def test_a_slug_is_plain(name: str) -> None:
    assert set(slug(name)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert not slug(name).startswith("_")
    assert not slug(name).endswith("_")
