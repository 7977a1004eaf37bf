"""Bad input: a plain sentence, an exit code of 1 or 2, and everything as before."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_run import SEPTEMBER, billed, covered
from tests.conftest import BILL, Finops, fingerprint

Damage = Callable[[Path], None]


def edited(name: str, old: str, new: str) -> Damage:
    """Replace text in one of the installation's files."""

    def damage(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return damage


def with_cell(row: int, column: str, value: str) -> Damage:
    """Write `value` into one cell of the bill (row 1 is the first below the header)."""

    def damage(folder: Path) -> None:
        path = folder / "bills" / "september.csv"
        table = pl.read_csv(path, infer_schema=False)
        cells = table.get_column(column).to_list()
        cells[row - 1] = value
        table.with_columns(pl.Series(column, cells)).write_csv(path)

    return damage


def replaced_by(content: bytes) -> Damage:
    """Put something else where the bill was."""

    def damage(folder: Path) -> None:
        (folder / "bills" / "september.csv").write_bytes(content)

    return damage


def truncated_parquet(folder: Path) -> None:
    path = folder / "bills" / "september.csv"
    pl.read_csv(path, infer_schema=False).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-200])


def damaged_parquet(folder: Path) -> None:
    path = folder / "bills" / "september.csv"
    pl.read_csv(path, infer_schema=False).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[1000:1400] = bytes(400)
    path.write_bytes(content)


def parquet_with_a_flipped_byte(folder: Path) -> None:
    """Change a byte that only the page's checksum can tell: the page is not compressed."""
    path = folder / "bills" / "september.csv"
    table = pl.read_csv(path, infer_schema=False, null_values=["NULL"]).to_arrow()
    pq.write_table(table, path, compression="none", write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[content.index(b"Elastic Compute")] ^= 1
    path.write_bytes(content)


def parquet_times(column: str, unit: str, value: int) -> Damage:
    """Write the bill as Parquet, with one time that no calendar holds."""

    def damage(folder: Path) -> None:
        path = folder / "bills" / "september.csv"
        table = pl.read_csv(path, infer_schema=False, null_values=["NULL"]).to_arrow()
        times = pa.array([0] * 4 + [value] + [0] * (len(table) - 5)).cast(pa.timestamp(unit, "UTC"))
        place = table.column_names.index(column)
        pq.write_table(table.set_column(place, column, times), path)

    return damage


CONFIGURATION: dict[str, tuple[Damage, list[str]]] = {
    "unknown key": (
        edited("finops.toml", "thresholds", "treshholds"),
        ["finops.toml: alerts.treshholds", "unknown key", "thresholds"],
    ),
    "unknown key of a source": (
        edited("finops.toml", 'path = "bills/sep', 'file = "bills/sep'),
        ["finops.toml: sources.bill.path: is missing", "sources.bill.file: unknown key"],
    ),
    "unknown provider": (
        edited("finops.toml", 'provider = "focus"\npath', 'provider = "fokus"\npath'),
        ["there is no provider 'fokus'", "focus"],
    ),
    "not TOML": (
        edited("finops.toml", "[warehouse]", "[warehouse"),
        ["finops.toml: is not valid TOML", "line"],
    ),
    "unknown cost center in a rule": (
        edited("organization.toml", 'cost_center = "web"', 'cost_center = "wep"'),
        ["organization.toml: rules[1] (storage): cost_center", "'wep'", "did you mean 'web'?"],
    ),
    "shares that are not 1": (
        edited("organization.toml", "web = 0.4", "web = 0.5"),
        ["organization.toml: splits.shared", "add up to 1.1, not 1"],
    ),
    "a cycle": (
        edited(
            "organization.toml",
            'type = "business_unit"',
            'type = "business_unit"\nparent = "vision"',
        ),
        ["organization.toml: cost_centers.ai.parent", "circle"],
    ),
    "unknown column in a rule": (
        edited("organization.toml", 'ServiceCategory = "Storage"', 'ServiceCategroy = "Storage"'),
        ["rules[1] (storage): ServiceCategroy", "did you mean 'ServiceCategory'?"],
    ),
}

DELIVERIES: dict[str, tuple[Damage, list[str]]] = {
    "not FOCUS": (
        replaced_by(b"date,cost\n2024-09-01,3\n"),
        ["september.csv: is no FOCUS bill", "BilledCost", "export it as FOCUS"],
    ),
    "empty": (replaced_by(b""), ["september.csv: is empty"]),
    "binary": (replaced_by(bytes(range(256)) * 40), ["september.csv: is neither Parquet nor CSV"]),
    "truncated Parquet": (truncated_parquet, ["september.csv: is no complete Parquet file"]),
    "damaged Parquet": (damaged_parquet, ["september.csv", "fetch it again"]),
    "truncated gzip": (
        replaced_by(gzip.compress(BILL.read_bytes())[:-4000]),
        ["september.csv", "fetch it again"],
    ),
    "text as cost": (
        with_cell(397, "BilledCost", "twelve"),
        ["september.csv: row 397: BilledCost", "'twelve'", "correct it at the source"],
    ),
    "NaN": (with_cell(7, "BilledCost", "NaN"), ["row 7: BilledCost", "'NaN'"]),
    "infinity": (with_cell(8, "EffectiveCost", "-inf"), ["row 8: EffectiveCost", "'-inf'"]),
    "no time": (with_cell(9, "ChargePeriodStart", "yesterday"), ["row 9: ChargePeriodStart"]),
    "end before start": (
        with_cell(3, "ChargePeriodEnd", "2024-08-31 00:00:00"),
        ["row 3", "the charge period ends before it starts"],
    ),
    "the year 0": (
        with_cell(9, "ChargePeriodStart", "0000-09-01 00:00:00"),
        [
            "september.csv: row 9: ChargePeriodStart: 0000-09-01 00:00:00 lies outside the years 1970"
        ],
    ),
    "a date of .NET": (
        with_cell(2, "BillingPeriodStart", "0001-01-01 00:00:00"),
        ["september.csv: row 2: BillingPeriodStart: 0001-01-01 00:00:00 lies outside the years"],
    ),
    "the year 1700": (
        with_cell(9, "ChargePeriodStart", "1700-09-01 00:00:00"),
        ["row 9: ChargePeriodStart: 1700-09-01 00:00:00 lies outside", "correct it at the source"],
    ),
    "the year 9999": (
        with_cell(9, "BillingPeriodStart", "9999-09-01 00:00:00"),
        ["row 9: BillingPeriodStart: 9999-09-01 00:00:00 lies outside", "to 2199"],
    ),
    "the year 12000": (
        with_cell(9, "ChargePeriodEnd", "12000-09-01 00:00:00"),
        ["row 9: ChargePeriodEnd", "'12000-09-01 00:00:00' is no time; write it as 2026-10-01T"],
    ),
    "the year 12000 in Parquet": (
        parquet_times("ChargePeriodEnd", "us", 316_516_377_600_000_000),
        ["row 5: ChargePeriodEnd: +12000-01-03 00:00:00 lies outside the years 1970 to 9999"],
    ),
    "no year at all in Parquet": (
        parquet_times("ChargePeriodStart", "ms", 2**61),
        ["row 5: ChargePeriodStart", "lies outside the years 1970 to 2199"],
    ),
    "line ends of two kinds": (
        replaced_by(BILL.read_bytes().replace(b"\n", b"\r", 40)),
        ["september.csv", "ends its lines in different ways", "save it again"],
    ),
    "a page checksum that does not fit": (
        parquet_with_a_flipped_byte,
        ["september.csv: is damaged in column ChargeDescription (page checksum); fetch it again"],
    ),
    "missing file": (
        lambda folder: (folder / "bills/september.csv").unlink(),
        ["no file or folder"],
    ),
}


def assert_plain(text: str, fragments: list[str]) -> None:
    flat = " ".join(text.split())
    assert "Traceback" not in flat
    assert "should not happen" not in flat
    for fragment in fragments:
        assert fragment in flat


@pytest.mark.parametrize("name", CONFIGURATION)
def test_wrong_configuration_is_named_and_nothing_is_touched(
    acme: Path, finops: Finops, name: str
) -> None:
    assert finops("run", *SEPTEMBER).code == 0
    damage, fragments = CONFIGURATION[name]
    damage(acme)
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code in {1, 2}
    assert_plain(ran.err, fragments)
    assert fingerprint(acme) == before


@pytest.mark.parametrize("name", DELIVERIES)
@pytest.mark.parametrize("is_first", [True, False])
def test_an_unusable_bill_is_refused_and_nothing_is_touched(
    acme: Path, finops: Finops, name: str, *, is_first: bool
) -> None:
    if not is_first:
        assert finops("run", *SEPTEMBER).code == 0
    damage, fragments = DELIVERIES[name]
    damage(acme)
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert_plain(ran.err, fragments)
    assert fingerprint(acme) == before


def test_a_wrong_type_in_row_400_000_changes_no_byte(acme: Path, finops: Finops) -> None:
    assert finops("run", *SEPTEMBER).code == 0
    header, *lines = BILL.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [lines[row % len(lines)] for row in range(420_000)]
    amount = lines[(400_000 - 1) % len(lines)].split(",")[1]
    rows[400_000 - 1] = rows[400_000 - 1].replace(amount, "twelve", 1)
    (acme / "bills" / "september.csv").write_text("".join([header, *rows]), encoding="utf-8")
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    said = "september.csv: row 400000: BilledCost: 'twelve' is no finite number"
    assert_plain(ran.err, [said, "correct it at the source"])
    assert fingerprint(acme) == before


def test_a_period_without_an_end_may_say_so_by_the_year_9999(acme: Path, finops: Finops) -> None:
    with_cell(9, "ChargePeriodEnd", "9999-12-31 00:00:00")(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 0, ran.err
    assert covered(finops)["billed"] == billed()
    assert finops("report", "monthly", "--period", "2024-09").code == 0


def test_all_mistakes_are_named_at_once(acme: Path, finops: Finops) -> None:
    for damage, _ in (CONFIGURATION["unknown cost center in a rule"], CONFIGURATION["a cycle"]):
        damage(acme)
    said = finops("run", *SEPTEMBER).err
    assert "'wep'" in said
    assert "circle" in said


def test_mistakes_of_every_kind_are_named_at_once(acme: Path, finops: Finops) -> None:
    edited("organization.toml", "[cost_centers.web]", "[cost_centers.web]\nowner = 'me'")(acme)
    edited("organization.toml", 'parent = "ai"', 'parent = "al"')(acme)
    edited("organization.toml", "amount = 40", "amount = 40, currency = 'usd'")(acme)
    edited("organization.toml", 'regex = "Ora.*"', 'regex = "Ora.*["')(acme)
    for case in ("unknown cost center in a rule", "shares that are not 1"):
        CONFIGURATION[case][0](acme)
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 2
    pattern = (
        "rules[3] (oracle): match.ServiceProviderName: 'Ora.*[' is no regular expression: "
        "unterminated character set at position 5"
    )
    named = [line.removeprefix("error: organization.toml: ") for line in ran.err.splitlines()]
    assert [line.removeprefix("organization.toml: ").partition("; ")[0] for line in named] == [
        "cost_centers.vision.budget.currency: 'usd' is no ISO 4217 currency code",
        "cost_centers.web.owner: unknown key",
        "splits.shared: the shares add up to 1.1, not 1",
        "cost_centers.vision.parent: there is no cost center 'al'",
        "rules[1] (storage): cost_center: there is no cost center 'wep'",
        pattern,
    ]
    assert "write USD" in ran.err
    assert fingerprint(acme) == before


def test_a_broken_source_does_not_stop_the_others(acme: Path, finops: Finops) -> None:
    (acme / "bills" / "other.csv").write_bytes(BILL.read_bytes().replace(b"res-", b"other-"))
    with (acme / "finops.toml").open("a", encoding="utf-8") as file:
        file.write('\n[sources.other]\nprovider = "focus"\npath = "bills/other.csv"\n')
    with_cell(7, "BilledCost", "NaN")(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "bill: " in ran.err
    assert "Ledger: batch 1" in ran.out
    assert finops("ledger", "verify").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--from", "2024-10-01", "--to", "2024-09-01"], "empty"),
        (["run", "--from", "2024-09-01", "--to", "2024-09-01"], "empty"),
        (["run", "--from", "September", "--to", "2024-09-01"], "YYYY-MM-DD"),
        (["run", "--from", "2024-09-01"], "--to"),
        (["ingest", "nowhere", *SEPTEMBER], "there is no source 'nowhere'"),
        (["coverage", "--period", "2024-13"], "is not a month"),
        (["report", "quarterly", "--period", "2024-09"], "there is no report 'quarterly'"),
        (["budgets", "--config", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (["init"], "exists already"),
        (["init", "/proc/x"], "/proc/x: No such file or directory; choose a folder that you may"),
        (["run", "--from", "0000-01-01", "--to", "2024-10-01"], "YYYY-MM-DD"),
        (["report", "monthly", "--period", "9999-12"], "is not a month of 1970 to 2199"),
        (["frobnicate"], "No such command"),
        (["ledger", "verify", "--level", "7"], "level"),
    ],
)
def test_misuse_exits_with_2(acme: Path, finops: Finops, arguments: list[str], said: str) -> None:
    ran = finops(*arguments)
    assert ran.code == 2
    assert_plain(ran.err, [said])


def test_an_installation_without_sources_says_so(
    tmp_path: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finops("init", tmp_path / "new").code == 0
    monkeypatch.chdir(tmp_path / "new")
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 2
    assert_plain(ran.err, ["has no sources", "[sources.NAME]"])


def test_a_lost_key_stops_before_anything_is_posted(acme: Path, finops: Finops) -> None:
    (acme / "keys" / "ledger.key").unlink()
    ran = finops("run", *SEPTEMBER)
    assert ran.code in {1, 2}
    assert_plain(ran.err, ["ledger.key", "there is no key file"])
    assert not (acme / "warehouse" / "ledger").exists()
