"""Finding a bill that is there twice, whatever it is packed in: it would count twice."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from finops.errors import DataError
from finops.tabular import Table

_FIRST_BYTES = 1 << 16


def refuse(tables: Iterable[Table]) -> None:
    """Raise `DataError` when two of the tables are byte for byte the same once unpacked.

    Bills differ in their first rows already: only those that do not are read to their end.
    """
    alike: dict[bytes, list[Table]] = defaultdict(list)
    for table in tables:
        alike[_beginning(table)].append(table)
    for group in alike.values():
        for first, second in _copies(group):
            raise DataError(
                f"{first.name} and {second.name} are the same bill, byte for byte; "
                f"take one of them away"
            )


def _copies(alike: Sequence[Table]) -> Iterator[tuple[Table, Table]]:
    seen: dict[bytes, Table] = {}
    for table in alike if len(alike) > 1 else ():
        first = seen.setdefault(_digest(table), table)
        if first is not table:
            yield first, table


def _beginning(table: Table) -> bytes:
    begun = b""
    for block in table.blocks():
        begun += block
        if len(begun) >= _FIRST_BYTES:
            break
    return hashlib.sha256(begun[:_FIRST_BYTES]).digest()


def _digest(table: Table) -> bytes:
    digest = hashlib.sha256()
    for block in table.blocks():
        digest.update(block)
    return digest.digest()
