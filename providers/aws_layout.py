"""Where AWS puts a month's manifest and files: today's data exports, and the older reports.

A data export (FOCUS, CUR 2.0):

    <export>/metadata/BILLING_PERIOD=2026-10/<export>-Manifest.json
    <export>/data/BILLING_PERIOD=2026-10/[<run>/]<export>-00001.snappy.parquet

A legacy Cost and Usage Report, in either of its overwrite modes:

    <report>/20261001-20261101/<report>-Manifest.json
    <report>/20261001-20261101/[<assembly>/]<report>-00001.csv.gz
    <report>/<report>/year=2026/month=10/<report>-00001.snappy.parquet   (made for Athena)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from finops.errors import Terminal

_DATA_EXPORT_MONTH = re.compile(r"billing_period=(\d{4}-\d{2})", re.IGNORECASE)
_REPORT_MONTH = re.compile(r"(\d{4})(\d{2})01-\d{8}")


class Folders(Protocol):
    """What a layout needs of the place where an export is kept."""

    url: str

    def folders(self, path: str) -> list[str]:
        """List the names of the folders directly in `path`."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """One of the two layouts, for the export called `name`.

    `months` maps each delivered month to the folder of its manifest, below the export.
    """

    name: str
    months: Mapping[str, str]
    files_key: str
    run_key: str
    data: str
    """The folder below the export that holds the files; empty when it is the export's own."""
    usual: re.Pattern[str]
    """How the path of a file below that folder begins."""

    def manifest(self, month: str) -> str:
        """Give the place of a month's manifest, below the export."""
        return f"{self.months[month]}/{self.name}-Manifest.json"

    def files(self, document: Mapping[str, Any], uri: str) -> tuple[str, ...]:
        """List the files that a manifest names, below the export: a copied export works too.

        `uri` is what messages call the manifest; raises `Terminal` for one of another kind.
        """
        named = document.get(self.files_key)
        if not (isinstance(named, list) and named and all(isinstance(one, str) for one in named)):
            raise Terminal(
                f"{uri}: lists no {self.files_key}, so it is no manifest of this kind of export; "
                f"check that the source's 'export' is the folder that AWS delivers to"
            )
        return tuple(self._below(one, uri) for one in dict.fromkeys(named))

    def run(self, document: Mapping[str, Any]) -> str:
        """Name the run that delivered the month."""
        return str(document.get(self.run_key, ""))

    def _below(self, file: str, uri: str) -> str:
        folder = [part for part in (self.name, self.data) if part]
        parts = file.split("/")
        after = range(len(folder), len(parts))
        paths = ["/".join(parts[at:]) for at in after if parts[at - len(folder) : at] == folder]
        # The prefix, or the report itself, may hold a folder of the report's own name.
        usual = [path for path in paths if self.usual.match(path)]
        path = (usual or paths[:1] or [""])[-1]
        if not path or ".." in path.split("/"):
            raise Terminal(
                f"{uri}: names {file!r}, which is not below /{'/'.join(folder)}/; point the "
                f"source's 'export' at the export this manifest belongs to"
            )
        return "/".join(filter(None, (self.data, path)))


def find(export: Folders, name: str, source: str) -> Layout:
    """Tell the layout of an export by its folders; raises `Terminal` when it has neither."""
    inside = export.folders("metadata")
    months = {
        match[1]: f"metadata/{match[0]}"
        for match in map(_DATA_EXPORT_MONTH.fullmatch, inside)
        if match
    }
    if months:
        return Layout(name, months, "dataFiles", "executionId", "data", _DATA_EXPORT_MONTH)
    reports = map(_REPORT_MONTH.fullmatch, export.folders(""))
    months = {f"{match[1]}-{match[2]}": match[0] for match in reports if match}
    if months:
        usual = re.compile(rf"\d{{8}}-\d{{8}}/|{re.escape(name)}/year=")
        return Layout(name, months, "reportKeys", "assemblyId", "", usual)
    raise Terminal(
        f"sources.{source}.export: {export.url} holds no metadata/BILLING_PERIOD=… folder, so it is "
        f"no data export or AWS has not delivered yet (the first takes up to a day); write "
        f"s3://bucket/prefix/export-name as in the export's settings"
    )
