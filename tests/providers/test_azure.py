"""Azure exports: which runs count for which month, and what is said of those that do not."""

import gzip
import io
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from azure.mgmt.costmanagement import models
from pydantic import ValidationError

from finops import charges
from finops.errors import ConfigError, DataError, Severity, Terminal, Transient
from finops.partition import Window
from finops.raw import Delivery, RawStore
from finops.warehouse.local import LocalWarehouse
from providers.azure import Azure, AzureSettings
from tests.stubs.azure_export import (
    EXPORT,
    FOCUS,
    OCTOBER,
    ONE_ROW,
    ROWS,
    Delivered,
    focus_rows,
    write,
)

PART = "part_0_0001.csv"
WHOLE = Delivered({PART: FOCUS})
BILLED = Decimal("37644.365")


@pytest.fixture
def provider(tmp_path: Path) -> Azure:
    return Azure("az", AzureSettings(export=EXPORT), tmp_path)


def ids(delivery: Delivery) -> list[str]:
    data = [kept for kept in delivery.objects if kept.receipt["kind"] == "data"]
    return [kept.receipt["runId"] for kept in data]


def test_an_export_in_a_folder(provider: Azure, tmp_path: Path, store: RawStore) -> None:
    write(tmp_path, WHOLE)
    delivery = provider.fetch(OCTOBER, store)
    assert delivery.scope.periods == {"2026-10"}
    assert delivery.scope.days is None
    assert focus_rows(provider, delivery, store)["BilledCost"].sum() == BILLED
    assert str(tmp_path) not in str([kept.receipt for kept in delivery.objects])


def test_every_part_of_a_run_is_taken(provider: Azure, tmp_path: Path, store: RawStore) -> None:
    frame = pl.read_csv(io.BytesIO(FOCUS), infer_schema=False)
    parquet = io.BytesIO()
    frame.with_columns(pl.col("BilledCost").cast(pl.Decimal(38, 14))).write_parquet(
        parquet, compression="snappy"
    )
    parts = {
        PART: FOCUS,
        "part_1_0001.csv.gz": gzip.compress(FOCUS),
        "part_2_0001.snappy.parquet": parquet.getvalue(),
    }
    write(tmp_path, Delivered(parts, manifest={"dataRowCount": 3 * ROWS}))
    delivery = provider.fetch(OCTOBER, store)
    rows = focus_rows(provider, delivery, store)
    assert rows["BilledCost"].sum() == 3 * BILLED
    (stated,) = delivery.stated
    assert (stated.rows, len(stated.raw_ids)) == (3 * ROWS, 3)
    same = rows.drop("x_RawRow").unique(maintain_order=True)
    assert same.height == ROWS


def test_the_manifests_row_count_is_held_against_the_rows(
    provider: Azure, tmp_path: Path, store: RawStore
) -> None:
    write(tmp_path, Delivered({PART: FOCUS}, manifest={"dataRowCount": ROWS + 3}))
    delivery = provider.fetch(OCTOBER, store)
    bills = provider.charges(delivery, store.path)
    taken = charges.write(bills, delivery, LocalWarehouse(tmp_path / "warehouse"))
    (issue,) = [issue for issue in taken.issues if "states" in issue.message]
    assert "states 17 rows but 14 were read, 3 fewer" in issue.message


def run(
    id: str,  # noqa: A002 - Azure's word
    made: str | None,
    days: str = "20261001-20261031",
    folder: str = "202611020400",
) -> Delivered:
    return Delivered({PART: ONE_ROW}, id, days, made, folder)


@pytest.mark.parametrize(
    ("runs", "chosen"),
    [
        ([run("a", "2026-10-05T04:00:00Z"), run("b", "2026-10-06T04:00:00Z")], "b"),
        ([run("b", "2026-10-06T04:00:00Z"), run("a", "2026-10-05T04:00:00Z", folder="")], "b"),
        # Made at the time that only the folder says.
        ([run("a", None, folder="202610050400"), run("b", None, folder="202610060400")], "b"),
        ([run("z", "2026-10-05T04:00:00Z"), run("a", None, folder="202610060400")], "a"),
        # Month to date, whose folder ends with the day before it was made.
        ([run("a", "2026-10-05T04:00:00Z", "20261001-20261004")], "a"),
        # Half a month, asked for when the month was over.
        (
            [
                run("a", "2026-10-31T04:00:00Z"),
                run("b", "2026-11-20T04:00:00Z", "20261001-20261015"),
                run("c", "2026-11-21T04:00:00Z", "20261015-20261031"),
            ],
            "a",
        ),
        # Asked for once for a whole quarter, after the daily runs.
        (
            [
                run("a", "2026-11-05T04:00:00Z"),
                run("b", "2026-11-20T04:00:00Z", "20260801-20261031"),
            ],
            "b",
        ),
    ],
)
def test_the_newest_run_of_a_whole_month_counts(
    runs: list[Delivered], chosen: str, provider: Azure, tmp_path: Path, store: RawStore
) -> None:
    write(tmp_path, *runs)
    delivery = provider.fetch(OCTOBER, store)
    assert delivery.scope.periods == {"2026-10"}
    assert ids(delivery) == [chosen]


def test_a_month_of_parts_only_is_said_and_not_taken(
    provider: Azure, tmp_path: Path, store: RawStore
) -> None:
    write(tmp_path, run("a", "2026-11-20T04:00:00Z", "20261008-20261014"))
    delivery = provider.fetch(OCTOBER, store)
    assert (delivery.scope.periods, delivery.objects) == (frozenset(), ())
    (issue,) = delivery.issues
    assert issue.severity is Severity.WARNING
    assert "Daily export of month-to-date costs" in issue.message


def test_a_month_that_is_in_two_runs_counts_once(
    provider: Azure, tmp_path: Path, store: RawStore
) -> None:
    """September and October were asked for together; September alone came later."""
    september = FOCUS.replace(b"2026-10-0", b"2026-09-0").replace(b"2026-11-01", b"2026-10-01")
    both = FOCUS + b"".join(september.splitlines(keepends=True)[1:])
    write(
        tmp_path,
        Delivered({PART: both}, "both", "20260901-20261031", "2026-11-05T04:00:00Z"),
        Delivered({PART: september}, "later", "20260901-20260930", "2026-11-06T04:00:00Z"),
    )
    window = Window(date(2026, 9, 1), date(2026, 11, 1))
    delivery = provider.fetch(window, store)
    rows = focus_rows(provider, delivery, store)
    by_month = rows.group_by(pl.col("BillingPeriodStart").dt.month()).agg(
        pl.col("BilledCost").sum(), pl.len()
    )
    assert sorted(by_month.rows()) == [(9, BILLED, ROWS), (10, BILLED, ROWS)]
    october = rows.filter(pl.col("BillingPeriodStart").dt.month() == 10)
    assert october["x_RawRow"].to_list() == list(range(ROWS))
    assert [stated.rows for stated in delivery.stated] == [ROWS]


@pytest.mark.parametrize("count", [None, 0])
def test_a_run_that_exported_nothing_replaces_nothing(
    count: int | None, provider: Azure, tmp_path: Path, store: RawStore
) -> None:
    empty = Delivered(
        {}, "b", made="2026-11-09T04:00:00Z", manifest={"blobCount": count, "blobs": None}
    )
    write(tmp_path, WHOLE, empty)
    assert ids(provider.fetch(OCTOBER, store)) == [WHOLE.id]
    write(tmp_path / "other", empty)
    alone = Azure("az", AzureSettings(export=f"other/{EXPORT}"), tmp_path)
    assert alone.fetch(OCTOBER, store).scope.periods == frozenset()


def test_what_no_manifest_names_is_no_data(
    provider: Azure, tmp_path: Path, store: RawStore
) -> None:
    folder = write(tmp_path, WHOLE) / WHOLE.place
    (folder / "part_9_0001.csv").write_bytes(FOCUS)
    (folder / "_manifest.json").write_bytes(b'{"blobCount": 1}')
    unfinished = folder.parent / "33333333-cccc" / PART
    unfinished.parent.mkdir()
    unfinished.write_bytes(FOCUS)
    delivery = provider.fetch(OCTOBER, store)
    assert [kept.name.rpartition("/")[2] for kept in delivery.objects] == ["manifest.json", PART]


def test_another_month_is_not_in_scope(provider: Azure, tmp_path: Path, store: RawStore) -> None:
    write(tmp_path, WHOLE)
    window = Window(date(2026, 9, 15), date(2026, 11, 2))
    assert provider.fetch(window, store).scope.periods == {"2026-10"}
    assert provider.fetch(Window.of_period("2026-08"), store).objects == ()


def test_a_folder_that_holds_two_exports(tmp_path: Path, store: RawStore) -> None:
    other = {"exportConfig": {"exportName": "once", "type": "FocusCost"}}
    write(tmp_path / "all" / "one", WHOLE)
    write(tmp_path / "all" / "two", Delivered({PART: FOCUS}, "b", manifest=other))
    with pytest.raises(Terminal, match=r"several exports \(daily-focus, once\)"):
        Azure("az", AzureSettings(export="all"), tmp_path).fetch(OCTOBER, store)


@pytest.mark.parametrize(
    ("manifest", "error", "says"),
    [
        ({"exportConfig": {"type": "ActualCost"}}, Terminal, "of an export of type ActualCost"),
        ({"exportConfig": None}, Terminal, "no manifest of a Cost Management export"),
        ({"blobCount": 2}, Transient, "counts 2 files but does not name as many"),
        ({"blobs": [{"blobName": "../../x.csv"}]}, Terminal, "not in its own folder"),
        ({"blobs": [{"blobName": "b/other/x.csv"}]}, Terminal, "not in its own folder"),
    ],
)
def test_a_manifest_that_is_not_what_it_should_be(
    manifest: dict[str, Any],
    error: type[Exception],
    says: str,
    provider: Azure,
    tmp_path: Path,
    store: RawStore,
) -> None:
    write(tmp_path, Delivered({PART: FOCUS}, manifest=manifest))
    with pytest.raises(error, match=says):
        provider.fetch(OCTOBER, store)


@pytest.mark.parametrize("body", [b"", b"{", b'{"blobCount": 1'])
def test_half_a_manifest(body: bytes, provider: Azure, tmp_path: Path, store: RawStore) -> None:
    (write(tmp_path, WHOLE) / WHOLE.place / "manifest.json").write_bytes(body)
    with pytest.raises(Transient, match="not a complete JSON document"):
        provider.fetch(OCTOBER, store)


def test_days_that_only_the_folder_says(provider: Azure, tmp_path: Path, store: RawStore) -> None:
    write(tmp_path, Delivered({PART: FOCUS}, manifest={"runInfo": None}))
    assert provider.fetch(OCTOBER, store).scope.periods == {"2026-10"}


def test_an_empty_or_missing_folder(provider: Azure, store: RawStore) -> None:
    with pytest.raises(Terminal, match="Azure has not delivered yet"):
        provider.fetch(OCTOBER, store)


def test_a_file_that_is_no_focus_export(provider: Azure, tmp_path: Path, store: RawStore) -> None:
    write(tmp_path, Delivered({PART: b"Date,CostInBillingCurrency\n2026-10-01,5\n"}))
    delivery = provider.fetch(OCTOBER, store)
    with pytest.raises(DataError, match=r"has no BilledCost.*FOCUS"):
        list(provider.charges(delivery, store.path))


def test_the_probes_say_what_is_missing(provider: Azure, tmp_path: Path) -> None:
    listed, newest, download = provider.probes().values()
    with pytest.raises(Terminal, match="holds nothing"):
        listed()
    folder = write(tmp_path, WHOLE) / WHOLE.place
    for probe in (listed, newest, download):
        probe()
    (folder / PART).unlink()
    with pytest.raises(Transient, match="named by the manifest but gone"):
        download()
    (folder / "manifest.json").unlink()
    (folder / "notes.txt").write_bytes(b"")
    with pytest.raises(Terminal, match="no manifest that names a file"):
        newest()


def test_the_variable_of_the_secret_must_be_set(
    store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_COSTS_SAS", raising=False)
    export = "https://acme.blob.core.windows.net/costs/billing/daily-focus"
    settings = AzureSettings(export=export, credential_env="AZURE_COSTS_SAS")
    with pytest.raises(ConfigError, match=r"sources\.az\.credential_env: set .*AZURE_COSTS_SAS"):
        Azure("az", settings, Path()).fetch(OCTOBER, store)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"export": "https://acme.blob.core.windows.net/costs"},
        {"export": "https://acme.blob.core.windows.net/costs/daily?sv=1&sig=abc"},
        {"export": "http://acme.blob.core.windows.net/costs/daily"},
        {"export": "s3://bucket/daily"},
        {"export": "x", "key": "y"},
        {"export": "x", "query_scope": "my subscription"},
        {"export": "x", "query_url": "http://management.example"},
        {"export": "x", "queries_per_day": -1},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        AzureSettings.model_validate(settings)
    assert all("sig=" not in error["msg"] for error in caught.value.errors())


def test_the_documented_export_is_one_that_the_client_knows() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers" / "azure.md").read_text()
    (document,) = [json.loads(each.split("```")[0]) for each in page.split("```json\n")[1:]]
    export = models.Export(document)
    assert export.definition.data_set.configuration.data_version == "1.2-preview"
    assert export.delivery_info.destination.root_folder_path == "billing"
    assert export.partition_data is True
    chosen = {
        models.ExportType: export.definition.type,
        models.TimeframeType: export.definition.timeframe,
        models.GranularityType: export.definition.data_set.granularity,
        models.FormatType: export.format,
        models.CompressionModeType: export.compression_mode,
        models.DataOverwriteBehaviorType: export.data_overwrite_behavior,
        models.RecurrenceType: export.schedule.recurrence,
        models.StatusType: export.schedule.status,
    }
    assert all(value in list(kind) for kind, value in chosen.items())
