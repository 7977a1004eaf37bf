"""What users do not expect to matter, and does: copies, renamed sources, touched evidence, names."""

import json
from pathlib import Path

import pytest

from tests.cli.test_bad_input import with_cell
from tests.cli.test_run import SEPTEMBER, billed, covered
from tests.conftest import BILL, Finops, fingerprint


def raw_object(folder: Path) -> Path:
    (found,) = [path for path in (folder / "warehouse" / "raw").iterdir() if "." not in path.name]
    return found


def test_touched_evidence_is_mended_from_the_bill_and_never_booked(
    acme: Path, finops: Finops
) -> None:
    finops("run", *SEPTEMBER)
    kept = raw_object(acme)
    genuine = kept.read_bytes()
    kept.write_bytes(genuine.replace(b",0.5,", b",9.5,"))
    assert finops("run", *SEPTEMBER).code == 0
    assert covered(finops)["billed"] == billed()
    assert kept.read_bytes() == genuine


def test_trace_refuses_to_show_touched_evidence(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    kept = raw_object(acme)
    kept.write_bytes(kept.read_bytes()[:-1] + b" ")
    ran = finops("trace", "1/0")
    assert ran.code == 1
    assert "holds other bytes than the provider sent" in ran.err


def test_the_same_bill_twice_in_a_folder_is_refused(acme: Path, finops: Finops) -> None:
    (acme / "bills" / "september (1).csv").write_bytes(BILL.read_bytes())
    settings = acme / "finops.toml"
    settings.write_text(settings.read_text().replace("bills/september.csv", "bills"))
    before = fingerprint(acme)
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "are the same bill, byte for byte" in ran.err
    assert fingerprint(acme) == before


def test_a_renamed_source_is_warned_about(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    settings = acme / "finops.toml"
    settings.write_text(settings.read_text().replace("[sources.bill]", "[sources.other]"))
    assert "source 'bill', which finops.toml does not name" in finops("run", *SEPTEMBER).err
    ran = finops("doctor")
    assert ran.code == 1
    assert "charges of bill" in ran.out


@pytest.mark.parametrize("name", ["[/x] Cloud", "[red]x[/]", "\x1b]0;owned\x07Cloud"])
def test_a_name_is_shown_as_it_is(acme: Path, finops: Finops, name: str) -> None:
    with_cell(1, "ProviderName", name)(acme)
    assert finops("run", *SEPTEMBER).code == 0
    ran = finops("coverage")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert name.replace("\x1b", " ").replace("\x07", " ") in ran.out


HOSTILE = "[/red] :id: [sources.x] \x1b]0;owned\x07"
SHOWN = "[/red] :id: [sources.x]  ]0;owned "


def test_every_message_shows_what_users_wrote_as_it_stands(
    acme: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def hear(*arguments: str) -> None:
        ran = finops(*arguments)
        said.append(" ".join(f"{ran.out} {ran.err}".split()))

    settings, organization = acme / "finops.toml", acme / "organization.toml"
    right, rules = settings.read_text(encoding="utf-8"), organization.read_text(encoding="utf-8")
    quoted = json.dumps(HOSTILE)
    settings.write_text(right.replace('"bills/september.csv"', quoted), encoding="utf-8")
    hear("doctor", "focus")
    hear("run", *SEPTEMBER)
    with_cell(2, "ChargePeriodStart", HOSTILE)(acme)
    settings.write_text(right, encoding="utf-8")
    hear("run", *SEPTEMBER)
    organization.write_text(rules.replace('ServiceCategory = "St', f'{quoted} = "St'))
    hear("run", *SEPTEMBER)
    organization.write_text(rules.replace('"Vision"', quoted), encoding="utf-8")
    (acme / "bills" / "september.csv").write_bytes(BILL.read_bytes())
    with_cell(2, "ServiceName", HOSTILE)(acme)
    assert finops("run", *SEPTEMBER).code == 0
    hear("budgets")
    hear("ingest", HOSTILE, *SEPTEMBER)
    stranger = acme / "warehouse" / "ledger" / HOSTILE
    stranger.parent.mkdir()
    stranger.write_bytes(b"")
    hear("ledger", "verify")
    shown = " ".join(SHOWN.split())
    for text in said:
        assert shown in text or repr(HOSTILE)[1:-1] in text, text


def test_an_installation_may_be_called_anything(
    tmp_path: Path, finops: Finops, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / '[red]:id:[/] "q" \\b'
    made = finops("init", folder)
    assert made.code == 0
    assert f"Made {folder}/finops.toml" in made.out
    monkeypatch.chdir(folder)
    assert "sources: finops.toml: has no sources" in finops("doctor").out


def test_a_row_number_column_of_the_bill_is_not_believed(acme: Path, finops: Finops) -> None:
    bill = acme / "bills" / "september.csv"
    header, *lines = bill.read_text(encoding="utf-8").splitlines()
    numbered = [f"{header},x_RawRow,x_SourceColumns", *(f"{line},500,x" for line in lines)]
    bill.write_text("\n".join(numbered) + "\n", encoding="utf-8")
    assert finops("run", *SEPTEMBER).code == 0
    found = json.loads(finops("trace", "1/0", "--json").out)
    assert found["raw_row"]["row"] == found["entry"]["src_row"] + 1
    assert found["raw_row"]["ResourceId"] == found["entry"]["resource"]


def test_a_bill_cut_in_its_last_row_is_refused(acme: Path, finops: Finops) -> None:
    bill = acme / "bills" / "september.csv"
    bill.write_bytes(bill.read_bytes().rstrip()[:-200])
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "september.csv: is no complete CSV file" in ran.err
    assert not (acme / "warehouse" / "charges").exists()


def test_a_bill_that_lost_its_rows_takes_nothing_back(acme: Path, finops: Finops) -> None:
    finops("run", *SEPTEMBER)
    before = fingerprint(acme)
    bill = acme / "bills" / "september.csv"
    bill.write_text(bill.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    ran = finops("run", *SEPTEMBER)
    assert ran.code == 1
    assert "holds no rows" in ran.err
    bill.write_bytes(BILL.read_bytes())
    assert fingerprint(acme) == before


def test_charges_billed_in_the_next_month_get_their_report_too(acme: Path, finops: Finops) -> None:
    ran = finops("run", *SEPTEMBER)
    assert "October 2024: USD 0.50 billed" in ran.out
    assert (acme / "reports" / "monthly-2024-10.html").exists()


def test_a_new_installation_has_an_empty_ledger_not_a_damaged_one(
    acme: Path, finops: Finops
) -> None:
    ran = finops("ledger", "verify")
    assert ran.code == 2
    assert "the ledger is empty" in ran.err
