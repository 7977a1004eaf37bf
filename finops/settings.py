"""Reading TOML into frozen models, with every mistake named: file, key, what to write instead."""

import contextlib
import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
)

from finops.errors import ConfigError, Issue

T = TypeVar("T", bound=BaseModel)

CURRENCY_PATTERN = r"^[A-Z]{3}$"

_KEY_ITSELF = ".[key]"
"""How pydantic says that the name of a table is wrong, not what is in it."""


class Frozen(BaseModel):
    """A configuration model: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _exact(value: object) -> object:
    """Refuse what has already lost digits: a float from a caller's own dictionary."""
    if isinstance(value, float):
        raise ValueError("write amounts and shares as decimals or text, not binary floats")  # noqa: TRY004
    return value


def _currency(code: str) -> str:
    if not re.fullmatch(CURRENCY_PATTERN, code):
        right = code.strip().upper()
        hint = right if re.fullmatch(CURRENCY_PATTERN, right) else "a code such as USD"
        raise ValueError(f"{code!r} is no ISO 4217 currency code; write {hint}")
    return code


Exact = Annotated[Decimal, BeforeValidator(_exact)]
Currency = Annotated[str, AfterValidator(_currency)]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file, its numbers as `Decimal`; raises `ConfigError` with line and column."""
    try:
        # Windows editors begin UTF-8 with a byte order mark, which TOML does not know.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; `finops init` makes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


def issues_of(error: ValidationError, where: str, model: type[BaseModel]) -> list[Issue]:
    """Turn pydantic's findings into issues such as `finops.toml: ledger.key: is missing; …`."""
    return [
        Issue(_place(where, detail["loc"]), _sentence(dict(detail), model))
        for detail in error.errors(include_url=False)
    ]


def reserved_keys(table: Mapping[str, Any], where: str, model: type[BaseModel]) -> list[Issue]:
    """Name the keys in `table` that the program alone sets, such as where the file was."""
    hidden = [name for name, field in model.model_fields.items() if field.exclude and name in table]
    return [Issue(_place(where, [key]), _unknown(key, model, ())) for key in hidden]


def salvaged(model: type[T], table: object) -> T:
    """Make what can be made of a faulty `table`: the keys that are right by themselves.

    So that what else is wrong can be named at once; the result is good for nothing else, and has
    only the fields that `model_fields_set` names or that have a default.
    """
    given: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(table, dict) and name in table:
            kind: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            with contextlib.suppress(ValidationError):
                given[name] = kind.validate_python(table[name])
    return model.model_construct(**given)


def suggestion(word: str, known: Sequence[str]) -> str:
    """Say what may have been meant, or what there is to choose from."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"write one of {', '.join(sorted(known)[:12])}" if known else "there is none to choose"


def _place(where: str, location: Sequence[str | int]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    key = "".join(part for part in parts if part != _KEY_ITSELF).removeprefix(".")
    if not key:
        return where
    return f"{where}.{key}" if ": " in where else f"{where}: {key}"


def _sentence(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    match detail["type"]:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            *path, key = detail["loc"]
            return _unknown(str(key), model, path)
        case "tuple_type":
            return f"must be a list, not {_shown(detail['input'])}"
        case "dict_type" | "model_type":
            return f"must be a table, not {_shown(detail['input'])}"
        case "value_error" | "assertion_error":
            return str(detail["ctx"]["error"])
        case _:
            message = str(detail["msg"])
            return f"{message[:1].lower()}{message[1:]}, not {_shown(detail['input'])}"


def _unknown(key: str, model: type[BaseModel], path: Sequence[str | int]) -> str:
    fields = _fields_at(model, path).items()
    known = [field.alias or name for name, field in fields if not field.exclude]
    return f"unknown key; {suggestion(key, known)}"


def _shown(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> Mapping[str, Any]:
    """Find the fields a table at `path` may have, following maps, lists and optionals."""
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", {})
        annotation = fields[part].annotation if part in fields else current
        current = _model_in(annotation) or current
    return dict(getattr(current, "model_fields", {}))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
