from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from finops import settings
from finops.errors import ConfigError
from finops.settings import Frozen


class Inner(Frozen):
    colour: str = "red"


class Outer(Frozen):
    count: int
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    named: Mapping[str, Inner] = {}
    maybe: Inner | None = None


def complaints(table: dict[str, object]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(table)
    return [str(issue) for issue in settings.issues_of(caught.value, "a.toml", Outer)]


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.toml: there is no such file; `finops init` makes"):
        settings.read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = ", r"a\.toml: is not valid TOML: .*at end of document"),
        (b"a = 1\nb == 2", r"a\.toml: is not valid TOML: .*line 2, column 4"),
        (b"a = 1\na = 2", r"a\.toml: is not valid TOML: Cannot overwrite a value"),
        (b"a = '\xff'", r"a\.toml: cannot be read as UTF-8 text"),
        ("a = 1".encode("utf-16"), r"a\.toml: cannot be read as UTF-8 text"),
    ],
)
def test_what_is_no_toml(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        settings.read_toml(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.read_toml(tmp_path)


def test_numbers_stay_exact_and_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfamount = 0.1000000000000000055")
    assert settings.read_toml(path) == {"amount": Decimal("0.1000000000000000055")}


def test_every_mistake_is_named_at_once() -> None:
    found = complaints(
        {
            "inner": {"color": "blue"},
            "many": [{}, {"coluor": 1}],
            "named": {"a": {"zzz": 1}},
            "maybe": 3,
            "conut": 1,
        }
    )
    assert found == [
        "a.toml: count: is missing; add it",
        "a.toml: inner.color: unknown key; did you mean 'colour'?",
        "a.toml: many[1].coluor: unknown key; did you mean 'colour'?",
        "a.toml: named.a.zzz: unknown key; write one of colour",
        "a.toml: maybe: must be a table, not 3",
        "a.toml: conut: unknown key; did you mean 'count'?",
    ]


def test_the_wrong_kind_of_value() -> None:
    found = complaints({"count": "x", "many": "y", "named": [1]})
    assert found[0].startswith("a.toml: count: input should be a valid integer")
    assert found[0].endswith("not 'x'")
    assert found[1:] == [
        "a.toml: many: must be a list, not 'y'",
        "a.toml: named: must be a table, not [1]",
    ]


@pytest.mark.parametrize(
    ("word", "known", "says"),
    [
        ("reserch", ["research", "sales"], "did you mean 'research'?"),
        ("x", ["research", "sales"], "write one of research, sales"),
        ("x", [], "there is none to choose"),
    ],
)
def test_suggestion(word: str, known: list[str], says: str) -> None:
    assert settings.suggestion(word, known) == says
