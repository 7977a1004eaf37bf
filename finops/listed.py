"""Lists that stand in files of their own beside `organization.toml`: `{ in_file = "accounts.csv" }`.

A file is read once, with the organization, and what it said is part of the organization's text:
the ledger keeps by what rules it was written, lists and all.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finops.conditions import Listed
from finops.errors import ConfigError, Issue
from finops.rulebook import flattened

IN_FILE = "in_file"
_COLUMN = "column"
_FROM, _TO = "from", "to"


@dataclass(slots=True)
class Lists:
    """The files that an organization in `folder` names; `name` is the organization's file."""

    folder: Path
    name: str
    texts: dict[str, str] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)

    def resolved(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Put what the files say where the table names them; collects what is wrong."""
        found = dict(table)
        rules, lookups, tags = (table.get(key) for key in ("rules", "lookups", "virtual_tags"))
        if isinstance(rules, list):
            found["rules"] = self._matching(rules, "rules")
        if isinstance(lookups, dict):
            found["lookups"] = {
                name: self._lookup(given, f"lookups.{name}") for name, given in lookups.items()
            }
        if isinstance(tags, dict):
            found["virtual_tags"] = {
                tag: self._matching(lines, f"virtual_tags.{tag}")
                if isinstance(lines, list)
                else lines
                for tag, lines in tags.items()
            }
        return found

    def evidence(self) -> str:
        """Write what the files said as comments of TOML."""
        lines = []
        for name, text in sorted(self.texts.items()):
            lines += ["", f"# {name}, as it was read:", *(f"# {line}" for line in text.split("\n"))]
        return "".join(f"{line}\n" for line in lines)

    def _matching(self, tables: list[Any], where: str) -> list[Any]:
        found = []
        for place, given in enumerate(tables):
            rule = flattened(given)
            if isinstance(rule, dict) and isinstance(rule.get("match"), dict):
                match = {
                    column: self._condition(condition, f"{where}[{place}].match.{column}")
                    for column, condition in rule["match"].items()
                }
                rule = {**rule, "match": match}
            found.append(rule)
        return found

    def _condition(self, given: Any, where: str) -> Any:
        match given:
            case list():
                return [self._condition(each, where) for each in given]
            case {"not": inner, **rest} if not rest:
                return {"not": self._condition(inner, where)}
            case {"in_file": str(name), **rest} if rest.keys() <= {_COLUMN}:
                try:
                    rows = self._columns(name, [rest[_COLUMN]] if rest else [])
                    return Listed(name, frozenset(row[0] for row in rows))
                except ConfigError as error:
                    self.issues.append(Issue(f"{self.name}: {where}", str(error)))
                    return True
        return given

    def _lookup(self, given: Any, where: str) -> Any:
        if not (isinstance(given, dict) and isinstance(given.get(IN_FILE), str)):
            return given
        named = [given[key] for key in (_FROM, _TO) if key in given]
        try:
            if given.keys() - {IN_FILE, _FROM, _TO} or len(named) == 1:
                raise ConfigError(  # noqa: TRY301 - all that is wrong here is told in one way
                    'write { in_file = "…", from = "column of the values", to = "column of the '
                    'cost centers" }; without from and to the first two columns are taken'
                )
            rows = self._columns(given[IN_FILE], named)
            short = next((row for row in rows if len(row) == 1), None)
            if short is not None:
                raise ConfigError(  # noqa: TRY301
                    f"{given[IN_FILE]}: {short[0]!r} stands alone; write a cost center after it"
                )
            return {row[0]: row[1] for row in rows}
        except ConfigError as error:
            self.issues.append(Issue(f"{self.name}: {where}", str(error)))
            return {}

    def _columns(self, name: str, columns: list[Any]) -> list[list[str]]:
        """Read the cells of some columns by the file's header; all cells without `columns`."""
        lines = [line for line in self._text(name).splitlines() if line.strip()]
        try:
            rows = [
                [cell.strip() for cell in row]
                for row in csv.reader(line for line in lines if not line.lstrip().startswith("#"))
            ]
        except csv.Error as error:
            raise ConfigError(f"{name}: is no CSV: {error}; write one value a line") from None
        if not columns:
            return [row for row in rows if row[0]]
        header = rows[0] if rows else []
        for column in columns:
            if column not in header:
                there = ", ".join(header) or "none"
                raise ConfigError(f"{name}: has no column {column!r}; its columns are {there}")
        places = [header.index(column) for column in columns]
        return [
            [row[place] for place in places]
            for row in rows[1:]
            if len(row) > max(places) and row[places[0]]
        ]

    def _text(self, name: str) -> str:
        if name not in self.texts:
            path = self.folder / name
            try:
                self.texts[name] = path.read_text(encoding="utf-8-sig").rstrip("\n")
            except FileNotFoundError:
                raise ConfigError(
                    f"there is no file {name} beside {self.name}; check its name"
                ) from None
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}: cannot be read as UTF-8 text: {error}") from None
        return self.texts[name]
