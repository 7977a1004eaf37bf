"""Google Cloud: what is asked of BigQuery, what is kept, and what is refused."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from finops.errors import ConfigError, DataError, ProviderError, Terminal, Transient
from finops.partition import Window
from finops.raw import RawStore
from providers import gcp_queries, gcp_rows, http
from providers.gcp import Gcp, GcpSettings
from providers.gcp_queries import Kind, Table
from providers.gcp_spool import Spool
from providers.http import Pace
from tests.stubs import bigquery
from tests.stubs.bigquery import JOBS, ROWS, TABLE, TOTALS
from tests.stubs.rig_gcp import RIG
from tests.stubs.scripted import Answer, Script

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gcp"
OCTOBER = Window.of_period("2026-10")
SLACK = timedelta(days=2)
GPU = "Nvidia H100 80GB GPU running in Americas"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("[1]", "line 1 is no JSON object"),
        ('{"a": 1', "line 1 is no JSON object"),
        ("[" * 100_000, "line 1 is no JSON object"),
        ('{"a": "\udcff"}', "line 1 is no JSON object"),
        ('{"a": "\\ud83d"}', "line 1 holds half of a surrogate pair"),
        ('{"labels": [{"\\uDC00": 1}]}', "line 1 holds half of a surrogate pair"),
        ('{"a": 1}', "neither Google's detailed export nor"),
        (
            json.dumps(dict.fromkeys(gcp_queries._REQUIRED[Kind.FOCUS][1:], "1")),
            "has no BilledCost",
        ),
    ],
)
def test_files_that_are_no_billing_export(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message):
        gcp_rows.scan(tmp_path / "rows.json", "rows.json")


def test_the_same_rows_twice_are_refused(tmp_path: Path, store: RawStore) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes((FIXTURES / "focus.ndjson").read_bytes())
    with pytest.raises(Terminal, match=r"a\.json and b\.json are the same rows"):
        Gcp("gcp", GcpSettings(recorded=Path()), tmp_path).fetch(OCTOBER, store)


def test_recorded_probe_and_a_folder_without_rows(tmp_path: Path, store: RawStore) -> None:
    for probe in Gcp("gcp", GcpSettings(recorded=Path("gcp")), FIXTURES.parent).probes().values():
        probe()
    with pytest.raises(Terminal, match="holds no rows of a billing export"):
        Gcp("gcp", GcpSettings(recorded=Path()), tmp_path).fetch(OCTOBER, store)


def described(*, by_export_day: bool = True) -> Table:
    return Table("p.d.t", Kind.DETAILED, bigquery.DETAILED, by_export_day, "EU")


def test_every_column_is_named_and_old_partitions_are_left_alone() -> None:
    query = gcp_queries.totals(described(), Window(date(2026, 11, 3), date(2026, 11, 5)), SLACK)
    parameters = {name: value for name, _, value in query.parameters}
    assert "*" not in query.text.replace("COUNT(*)", "")
    assert query.text.count("_PARTITIONTIME >= @since") == 1
    assert parameters["since"] == datetime(2026, 10, 30, tzinfo=UTC)
    assert parameters["months"] == ["202611"]
    until = datetime(2026, 11, 5, tzinfo=UTC)
    wanted = [("2026-11-03", "202611"), ("2026-09-14", "202611")]
    query = gcp_queries.rows(described(), wanted, until, SLACK)
    assert "*" not in query.text
    assert "TO_JSON_STRING(`project`.`labels`) AS `project_labels`" in query.text
    assert {name: value for name, _, value in query.parameters}["since"] == parameters["since"]
    plain = gcp_queries.rows(described(by_export_day=False), wanted, until, SLACK)
    assert "_PARTITIONTIME" not in plain.text


def test_a_spooled_day_is_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    columns = (gcp_queries.DAY, gcp_queries.MONTH, "a", "b")
    rows = [[f"2026-10-0{n % 2 + 1}", "202610", str(n), None] for n in range(9000)]
    digests = []
    for place, ordered in enumerate((rows, rows[::-1])):
        folder = tmp_path / str(place)
        folder.mkdir()
        with Spool(folder, columns) as spool:
            for start in range(0, len(ordered), 700):
                spool.add(ordered[start : start + 700])
            digests.append([(f.day, f.rows, f.path.read_bytes()) for f in spool.finished()])
    assert digests[0] == digests[1]
    assert [(day, count) for day, count, _ in digests[0]] == [
        ("2026-10-01", 4500),
        ("2026-10-02", 4500),
    ]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(http, "PACE", Pace(0.4, pauses.append, lambda: 0.0))
    return pauses


@pytest.fixture
def provider(address: str, script: Script, waits: list[float]) -> Gcp:
    for (method, path), answers in RIG.good.items():
        script.on(path, *answers, method=method)
    settings = dict(RIG.settings(address)) | {"reuse_unchanged": True}
    return Gcp("gcp", GcpSettings(**settings), Path())


BYTES = {"reason": "bytesBilledLimitExceeded", "message": "Query exceeded limit"}
BROKEN = {"reason": "invalidQuery", "message": "Unrecognized name: cost"}


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (bigquery.refusal(403, "accessDenied"), Terminal, "roles/bigquery.jobUser on the project"),
        (bigquery.refusal(403, "quotaExceeded"), Transient, "wait for the next run"),
        (bigquery.refusal(403, "rateLimitExceeded"), Transient, "wait for the next run"),
        (bigquery.refusal(404, "notFound"), Terminal, "or location"),
        (bigquery.refusal(400, "invalid"), Terminal, "answered 400"),
        (bigquery.job("totals", BYTES), Terminal, "raise max_bytes_billed"),
        (bigquery.job("totals", BROKEN), Terminal, "Unrecognized name"),
        (bigquery.job("totals", {"reason": "backendError"}), Transient, "wait for the next run"),
        (Answer(b'{"jobReference": 5}'), DataError, "not what BigQuery answers"),
    ],
)
def test_refusals(
    answer: Answer,
    error: type[ProviderError],
    says: str,
    provider: Gcp,
    script: Script,
    store: RawStore,
) -> None:
    script.on(JOBS[1], answer, method="POST")
    with pytest.raises(error, match=says) as caught:
        provider.fetch(OCTOBER, store)
    assert "SELECT" not in str(caught.value)


def test_a_reached_rate_limit_is_waited_for(
    provider: Gcp, script: Script, store: RawStore, waits: list[float]
) -> None:
    busy = bigquery.refusal(403, "rateLimitExceeded")
    script.on(JOBS[1], busy, *RIG.good[JOBS], method="POST")
    assert len(provider.fetch(OCTOBER, store).objects) == 2
    assert waits == [1]


def test_an_unchanged_day_is_not_read_again(provider: Gcp, script: Script, store: RawStore) -> None:
    first = provider.fetch(OCTOBER, store)
    for (method, path), answers in RIG.good.items():
        script.on(path, *answers, method=method)
    second = provider.fetch(OCTOBER, store)
    assert [kept.sha256 for kept in first.objects] == [kept.sha256 for kept in second.objects]
    assert len(script.asked(ROWS[1])) == 1
    assert first.stated == second.stated


def test_a_day_that_was_refused_is_read_again(
    provider: Gcp, script: Script, store: RawStore
) -> None:
    provider.fetch(OCTOBER, store)
    store.withdraw()
    for (method, path), answers in RIG.good.items():
        script.on(path, *answers, method=method)
    provider.fetch(OCTOBER, store)
    assert len(script.asked(ROWS[1])) == 2


def test_fewer_rows_than_were_counted_is_no_day_to_keep_for_later(
    provider: Gcp, script: Script, store: RawStore
) -> None:
    line = ["2026-10-01", "202610", "USD", "5", "52.5", "0", "52.5", "1790000000000000"]
    script.on(TOTALS[1], bigquery.totals(line))
    delivery = provider.fetch(OCTOBER, store)
    assert delivery.stated[0].rows == 5
    script.on(JOBS[1], *RIG.good[JOBS], method="POST")
    provider.fetch(OCTOBER, store)
    assert len(script.asked(ROWS[1])) == 2


def test_rows_that_were_cut_off_are_refused(provider: Gcp, script: Script, store: RawStore) -> None:
    script.on(ROWS[1], bigquery.page("rows", bigquery.COLUMNS, [{}], total=9))
    with pytest.raises(Transient, match="counts 9 rows but sent 1"):
        provider.fetch(OCTOBER, store)


def test_other_columns_than_asked_for_are_refused(
    provider: Gcp, script: Script, store: RawStore
) -> None:
    script.on(ROWS[1], bigquery.page("rows", ["cost"], [{"cost": "1"}]))
    with pytest.raises(DataError, match="other columns than it was asked for"):
        provider.fetch(OCTOBER, store)


def test_a_table_without_export_time_is_refused(
    provider: Gcp, script: Script, store: RawStore
) -> None:
    body = bigquery.table().body.replace(b'"export_time"', b'"exported"')
    script.on(TABLE[1], Answer(body))
    with pytest.raises(DataError, match="has no export_time"):
        provider.fetch(OCTOBER, store)


def test_a_key_that_google_does_not_accept(
    address: str, script: Script, store: RawStore, waits: list[float], monkeypatch: Any
) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = {
        "type": "service_account",
        "client_email": "finops@acme.iam.gserviceaccount.com",
        "token_uri": f"{address}/token",
        "private_key": private.decode(),
    }
    monkeypatch.setenv("GCP_KEY", json.dumps(key))
    script.on("/token", Answer(b'{"error": "invalid_grant"}', 400), method="POST")
    settings = GcpSettings(table=bigquery.TABLE_NAME, credential_env="GCP_KEY")
    with pytest.raises(Terminal, match="does not accept the credentials") as caught:
        Gcp("gcp", settings, Path()).fetch(OCTOBER, store)
    assert key["private_key"][40:80] not in str(caught.value)
    assert waits == []


def test_no_credentials_and_no_key(store: RawStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json")
    plain = Gcp("gcp", GcpSettings(table=bigquery.TABLE_NAME), Path())
    with pytest.raises(ConfigError, match=r"sources\.gcp: there are no Google credentials"):
        next(iter(plain.probes().values()))()
    monkeypatch.setenv("GCP_KEY", "SECRET")
    settings = GcpSettings(table=bigquery.TABLE_NAME, credential_env="GCP_KEY")
    with pytest.raises(ConfigError, match="not the JSON document") as caught:
        Gcp("gcp", settings, Path()).fetch(OCTOBER, store)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"table": "dataset.table"},
        {"table": "p.d.t` WHERE 1=1 --"},
        {"table": "p.d.t", "api_url": "http://bigquery.example.com"},
        {"table": "p.d.t", "max_bytes_billed": 5},
        {"table": "p.d.t", "key": "x"},
    ],
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GcpSettings.model_validate(settings)
