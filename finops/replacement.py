"""Replacing many objects as one: an intent is written first, and whoever finds one finishes it.

A reader that calls `finish` before it looks never sees half of a replacement, even after the
writer was killed in the middle.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from finops.warehouse import Warehouse

_STAGING = "staging"
_INTENTS = "intents"


def replace_all(
    warehouse: Warehouse, owner: str, files: Mapping[str, Path], gone: Iterable[str] = ()
) -> None:
    """Put every file at its key and remove the keys in `gone`: all of it or, on a fault, none.

    `owner` groups intents, such as a source's name. The files are taken away.
    """
    finish(warehouse, owner)
    intent = uuid.uuid4().hex
    moves = {f"{_STAGING}/{intent}/{key}": key for key in sorted(files)}
    staged: list[str] = []
    try:
        for key, path in sorted(files.items()):
            temporary = f"{_STAGING}/{intent}/{key}"
            warehouse.adopt(temporary, path)
            staged.append(temporary)
        plan = json.dumps({"moves": moves, "gone": sorted(gone)}, sort_keys=True)
        warehouse.replace(f"{_INTENTS}/{owner}/{intent}.json", plan.encode())
    except BaseException:
        for temporary in staged:
            warehouse.delete(temporary)
        raise
    finish(warehouse, owner)


def is_decided(warehouse: Warehouse, owner: str) -> bool:
    """Tell whether a replacement of `owner` waits to be finished."""
    return any(warehouse.list(f"{_INTENTS}/{owner}/"))


def finish(warehouse: Warehouse, owner: str = "") -> int:
    """Complete the replacements that were decided but not finished; return how many."""
    prefix = f"{_INTENTS}/{owner}/" if owner else f"{_INTENTS}/"
    intents = list(warehouse.list(prefix))
    for key in intents:
        try:
            plan = json.loads(warehouse.read(key))
        except KeyError:
            continue  # another process finished it in the meantime
        for staged, final in plan["moves"].items():
            warehouse.move(staged, final)  # already moved: the final object is in place
        for gone in plan["gone"]:
            warehouse.delete(gone)
        warehouse.delete(key)
    return len(intents)
