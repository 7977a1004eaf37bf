"""What a verification found."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from finops.errors import WarehouseError
from finops.warehouse import Warehouse

_READERS = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the ledger: in which file, at which row when that is known."""

    file: str
    row: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file} row {self.row}"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome: what is wrong, and what is merely worth knowing.

    `size` and `root` (base64) are those of the largest genuine checkpoint, `batches` and `rows`
    count what was checked below it.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    size: int
    root: str | None
    batches: int
    rows: int

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.findings


@dataclass(slots=True)
class Report:
    """Findings and notes as they are gathered."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, file: str, message: str, row: int | None = None) -> None:
        """Note something wrong; a name that is not text is made printable."""
        printable = file.encode("utf-8", "backslashreplace").decode()
        self.findings.append(Finding(printable, row, message))

    def read(self, warehouse: Warehouse, key: str) -> bytes | None:
        """Return an object's bytes, or `None` with a finding when that cannot be done."""
        try:
            return warehouse.read(key)
        except KeyError:
            self.add(key, "is missing")
        except (WarehouseError, OSError, ValueError) as error:
            self.add(key, f"cannot be read: {error}")
        return None

    def read_all(
        self, warehouse: Warehouse, keys: Iterable[str]
    ) -> Iterator[tuple[str, bytes | None]]:
        """Yield each key with its bytes, as `read` does, several at a time."""
        names = list(keys)
        with ThreadPoolExecutor(_READERS) as pool:
            contents = pool.map(lambda key: self.read(warehouse, key), names)
            yield from zip(names, contents, strict=True)
