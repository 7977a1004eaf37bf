"""Replacing many objects as one: an intent is written first, and whoever finds one finishes it.

A reader that calls `finish` before it looks never sees half of a replacement, even after the
writer was killed in the middle.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from finops.warehouse import Warehouse

_STAGING = "staging"
_INTENTS = "intents"
_BEGUN = "%Y%m%dT%H%M%SZ"
_ABANDONED_AFTER = timedelta(days=1)


def replace_all(
    warehouse: Warehouse, owner: str, files: Mapping[str, Path], gone: Iterable[str] = ()
) -> None:
    """Put every file at its key and remove the keys in `gone`: all of it or, on a fault, none.

    `owner` groups intents, such as a source's name. The files are taken away.
    """
    now = datetime.now(UTC)
    finish(warehouse, owner)
    sweep(warehouse, now)
    intent = f"{now:{_BEGUN}}-{uuid.uuid4().hex}"  # sorts by its time: `sweep` relies on it
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


def sweep(warehouse: Warehouse, now: datetime) -> int:
    """Remove what runs that were killed before their decision staged; return how many objects.

    Only what was begun more than a day before `now`: a younger one may be under way elsewhere.
    """
    decided = {_intent(key) for key in warehouse.list(f"{_INTENTS}/")}
    begun_before = f"{now - _ABANDONED_AFTER:{_BEGUN}}"
    abandoned = [
        key
        for key in warehouse.list(f"{_STAGING}/")
        if key.split("/")[1] not in decided and key.split("/")[1] < begun_before
    ]
    for key in abandoned:
        warehouse.delete(key)
    return len(abandoned)


def _intent(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")
