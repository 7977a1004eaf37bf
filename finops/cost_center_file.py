"""Adding a cost center to organization.toml: its comments and order stay, and nobody is lost.

Writers wait for each other at a lock file. The new text is read back before it replaces the old:
it must say what the old one said and the new cost center, and nothing else.
"""

import fcntl
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops import money, organization
from finops.errors import ConfigError
from finops.identity import slug
from finops.organization import CostCenter, Organization
from finops.settings import read_toml, suggestion

_HEADER = re.compile(r"^\s*\[(\[?)\s*([^\]]*?)\s*\]", re.MULTILINE)
_CENTERS = "cost_centers"


def add(path: Path, id_: str, center: CostCenter) -> CostCenter:
    """Write `center` into the file at `path` as `id_`, and return what the file says of it.

    Nothing is written when the same one is there. Raises `ConfigError` when another one has the
    name, saying what differs, or when its parent is unknown.
    """
    target = path.resolve()
    with _locked(target):
        table = read_toml(target)
        known = organization.load(target)
        owner = known.by_name.get(id_)
        if owner is not None:
            return _agreed(path.name, id_, owner, known, center)
        named = center.model_copy(update={"parent": _parent(center, known)})
        _replace(target, _with(target.read_text(encoding="utf-8"), table, id_, named))
        return named


def table(id_: str, center: CostCenter) -> str:
    """Write one cost center as TOML, as organization.toml has it."""
    lines = [f"[{_CENTERS}.{id_}]", f"type = {_text(center.type)}", f"name = {_text(center.name)}"]
    if center.parent is not None:
        lines.append(f"parent = {_text(center.parent)}")
    for name, texts in (("owners", center.owners), ("aliases", center.aliases)):
        if texts:
            lines.append(f"{name} = [{', '.join(map(_text, texts))}]")
    if center.budget is not None:
        amount = money.text(center.budget.amount)
        currency = _text(center.budget.currency)
        lines.append(f"budget = {{ amount = {amount}, currency = {currency} }}")
    for name, day in (("valid_from", center.valid_from), ("valid_to", center.valid_to)):
        if day is not None:
            lines.append(f"{name} = {day.isoformat()}")
    return "\n".join(lines) + "\n"


def tables(known: Organization) -> str:
    """Write all cost centers of an organization as TOML."""
    return "\n".join(table(id_, center) for id_, center in known.cost_centers.items())


def _parent(center: CostCenter, known: Organization) -> str | None:
    """Find the parent under any of its names."""
    if center.parent is None:
        return None
    parent = known.by_name.get(center.parent)
    if parent is None:
        hint = suggestion(center.parent, list(known.cost_centers))
        raise ConfigError(f"there is no cost center {center.parent!r}; {hint}")
    return parent


def _agreed(file: str, id_: str, owner: str, known: Organization, wanted: CostCenter) -> CostCenter:
    """Return what is there when it is what is `wanted`, as far as that says anything."""
    there = known.cost_centers[owner]
    if owner != id_:
        raise ConfigError(
            f"{file}: {id_!r} is a further name of the cost center {owner!r}; use that one, or "
            f"take the alias away"
        )
    asked = wanted.model_copy(update={"parent": _parent(wanted, known)})
    differ = [
        f"{name} is {_said(getattr(there, name))}, not {_said(getattr(asked, name))}"
        for name in ("type", "name", "parent", "owners", "budget")
        if getattr(asked, name) not in (None, (), getattr(there, name))
    ]
    if differ:
        raise ConfigError(
            f"{file}: the cost center {id_!r} is there already and differs: {'; '.join(differ)}; "
            f"change the file, or say the same"
        )
    return there


def _said(value: Any) -> str:
    if isinstance(value, organization.Budget):
        return f"{money.text(value.amount)} {value.currency}"
    return "none" if value in (None, ()) else str(value)


def _with(text: str, before: Mapping[str, Any], id_: str, center: CostCenter) -> str:
    """Put the cost center behind the last one; at the end where that does not read as meant."""
    added = table(id_, center)
    wanted = {**before, _CENTERS: {**before.get(_CENTERS, {}), id_: _plain(added, id_)}}
    place = _behind_the_last(text)
    for candidate in (_inserted(text, added, place), _inserted(text, added, len(text))):
        if _read(candidate) == wanted:
            return candidate
    raise ConfigError(
        f"{organization.FILE_NAME}: no cost center can be added as it is written; write each as a "
        f"table of its own, [{_CENTERS}.{slug(id_)}]"
    )


def _plain(added: str, id_: str) -> Any:
    read = _read(added)
    assert read is not None, "what we write is TOML"
    return read[_CENTERS][id_]


def _read(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        return None


def _behind_the_last(text: str) -> int:
    """Find where the last table of a cost center ends, before the comments of the next one."""
    headers = list(_HEADER.finditer(text))
    ours = [place for place, found in enumerate(headers) if found[2].startswith(f"{_CENTERS}.")]
    if not ours or ours[-1] + 1 == len(headers):
        return len(text)
    between = text[: headers[ours[-1] + 1].start()].splitlines(keepends=True)
    while between and (not between[-1].strip() or between[-1].lstrip().startswith("#")):
        between.pop()
    return sum(map(len, between))


def _inserted(text: str, added: str, place: int) -> str:
    before, after = text[:place].rstrip("\n"), text[place:].lstrip("\n")
    parts = [before + "\n", added, after] if before else [added, after]
    return "\n".join(part for part in parts if part)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(
            f"{lock}: cannot be made ({error.strerror or error}); cost centers can only be added "
            f"where {path.name} may be written"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with made.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(path.stat().st_mode & 0o777)
        organization.load(made)
        made.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror or error}); nothing was changed"
        ) from None
    finally:
        made.unlink(missing_ok=True)


def _text(value: str) -> str:
    """Write text between quotes as TOML does, which escapes as JSON does but for one character."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
