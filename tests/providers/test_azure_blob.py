"""Exports in Blob storage: a real emulator where there is one, and a scripted server."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from finops.errors import Terminal, Transient
from finops.raw import RawObject, RawStore
from providers import http
from providers.azure import Azure, AzureSettings
from providers.azure_blob import _parts
from providers.http import Pace
from tests.stubs import azurite
from tests.stubs.azure_export import EXPORT, FOCUS, OCTOBER, ONE_ROW, Delivered, focus_rows
from tests.stubs.azurite import KEY, Container
from tests.stubs.rig_azure import FILE, LIST, RIG, SECRET, blob
from tests.stubs.scripted import Answer, Script

PART = "part_0_0001.csv"
RUN = Delivered({PART: FOCUS, "part_1_0001.csv": ONE_ROW})


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    with azurite.serve() as address:
        yield address


@pytest.fixture
def container(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    with ContainerClient(emulator, f"costs-{uuid.uuid4().hex[:8]}", KEY) as client:
        client.create_container()
        made = Container(client, emulator)
        monkeypatch.setenv("AZURE_COSTS_SECRET", made.signature())
        yield made


@pytest.mark.slow
def test_the_run_that_the_manifest_names_is_kept_with_its_etags(
    container: Container, store: RawStore
) -> None:
    container.deliver(RUN)
    provider = container.provider()
    delivery = provider.fetch(OCTOBER, store)
    assert delivery.scope.periods == {"2026-10"}
    manifest, first, second = delivery.objects
    assert manifest.receipt["kind"] == "manifest"
    assert [kept.receipt["runId"] for kept in (first, second)] == [RUN.id] * 2
    assert first.receipt["etag"].startswith("0x")
    assert datetime.fromisoformat(first.receipt["fetched_at"]).tzinfo is not None
    assert "sig=" not in str(delivery.objects)
    rows = focus_rows(provider, delivery, store)
    assert rows["BilledCost"].sum() == Decimal("37644.365") + Decimal("2359.68")


@pytest.mark.slow
def test_a_file_larger_than_one_request(container: Container, store: RawStore) -> None:
    header, row = ONE_ROW.splitlines(keepends=True)
    body = header + row * (40_000_000 // len(row))
    container.deliver(Delivered({PART: body}))
    delivery = container.provider().fetch(OCTOBER, store)
    assert store.path(delivery.objects[1]).read_bytes() == body


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{}", "?{}"])
def test_a_signature_in_either_form(
    form: str, container: Container, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_COSTS_SECRET", form.format(container.signature()))
    container.deliver(RUN)
    assert len(container.provider().fetch(OCTOBER, store).objects) == 3


@pytest.mark.slow
def test_a_connection_string(
    container: Container, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_COSTS_SECRET", container.connection_string())
    container.deliver(RUN)
    assert len(container.provider().fetch(OCTOBER, store).objects) == 3


@pytest.mark.slow
def test_a_wrong_key_is_refused_and_never_shown(
    container: Container, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = KEY.replace("Eby8", "AAAA")
    monkeypatch.setenv("AZURE_COSTS_SECRET", container.connection_string(wrong))
    with pytest.raises(Terminal, match="403 AuthorizationFailure; grant the role") as caught:
        container.provider().fetch(OCTOBER, store)
    assert wrong not in str(caught.value)


@pytest.mark.slow
def test_a_signature_that_may_not_list(
    container: Container, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_COSTS_SECRET", container.signature("r"))
    with pytest.raises(Terminal, match="grant the role Storage Blob Data Reader"):
        container.provider().fetch(OCTOBER, store)


@pytest.mark.slow
def test_an_unknown_container(container: Container, store: RawStore) -> None:
    provider = container.provider()
    container.client.delete_container()
    with pytest.raises(Terminal, match="404 ContainerNotFound"):
        provider.fetch(OCTOBER, store)


class Interrupting(RawStore):
    """A store that lets something happen in the container when the first object has been kept."""

    def __init__(self, store: RawStore, then: Callable[[], None]) -> None:
        super().__init__(store.warehouse)
        self._then: Callable[[], None] | None = then

    def keep(
        self, content: bytes | Path, name: str, receipt: Mapping[str, str] | None = None
    ) -> RawObject:
        if self._then is not None:
            worker = threading.Thread(target=self._then)
            self._then = None
            worker.start()
            worker.join()
        return super().keep(content, name, receipt)


@pytest.mark.slow
def test_a_run_that_is_replaced_while_it_is_read(container: Container, store: RawStore) -> None:
    container.deliver(RUN)
    newer = Delivered({PART: ONE_ROW}, id="22222222-bbbb", made="2026-11-03T04:00:00Z")

    def replace() -> None:
        container.deliver(newer)
        container.delete(RUN)

    provider = container.provider()
    delivery = provider.fetch(OCTOBER, Interrupting(store, replace))
    assert [kept.receipt["runId"] for kept in delivery.objects] == [newer.id] * 2
    assert focus_rows(provider, delivery, store).height == 1


@pytest.mark.slow
def test_every_probe_passes_on_a_good_export(container: Container) -> None:
    container.deliver(RUN)
    probes = container.provider().probes()
    assert probes
    for probe in probes.values():
        probe()


@pytest.fixture
def scripted(script: Script, address: str, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """Connect to the script's export, impatiently."""
    monkeypatch.setattr(http, "PACE", Pace(0.4, lambda _: None, lambda: 0.0))
    for variable, value in RIG.environment.items():
        monkeypatch.setenv(variable, value)
    for (method, path), answers in RIG.good.items():
        script.on(path, *answers, method=method)
    return Azure("az", AzureSettings.model_validate(RIG.settings(address)), Path())


def test_a_file_of_another_size_than_its_manifest_says(
    scripted: Azure, script: Script, store: RawStore
) -> None:
    script.on(FILE[1], blob(ONE_ROW + b"more"))
    with pytest.raises(Transient, match=r"replaced the export .* 3 times .*its manifest says"):
        scripted.fetch(OCTOBER, store)


def test_a_file_that_stays_away(scripted: Azure, script: Script, store: RawStore) -> None:
    script.on(FILE[1], Answer(b"", 404))
    with pytest.raises(Transient, match="3 times"):
        scripted.fetch(OCTOBER, store)
    assert len(script.asked(LIST[1])) == 3


def test_a_file_that_comes_back_in_another_run(
    scripted: Azure, script: Script, store: RawStore
) -> None:
    script.on(FILE[1], Answer(b"", 404), *RIG.good[FILE])
    assert len(scripted.fetch(OCTOBER, store).objects) == 2


def test_no_message_holds_the_signature(scripted: Azure, script: Script, store: RawStore) -> None:
    script.on(LIST[1], Answer(b"", 500))
    with pytest.raises(Transient) as caught:
        scripted.fetch(OCTOBER, store)
    assert SECRET not in str(caught.value)
    assert "?" not in str(caught.value)


def test_a_secret_of_no_known_form(
    scripted: Azure, store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_COSTS_SAS", "AccountName=acme;nonsense")
    with pytest.raises(Terminal, match="neither a shared access signature") as caught:
        scripted.fetch(OCTOBER, store)
    assert "nonsense" not in str(caught.value)


def test_an_identity_that_has_none_is_told_how_to_get_one(
    store: RawStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for variable in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(variable, raising=False)
    settings = AzureSettings(export=f"https://127.0.0.1:9/acme/costs/billing/{EXPORT}")
    with pytest.raises(Terminal, match=r"no usable Azure identity .* az login"):
        Azure("az", settings, Path()).fetch(OCTOBER, store)


def test_a_token_is_not_sent_in_the_clear(store: RawStore) -> None:
    settings = AzureSettings(export=f"http://127.0.0.1:9/acme/costs/billing/{EXPORT}")
    with pytest.raises(Terminal, match="set the source's credential_env"):
        Azure("az", settings, Path()).fetch(OCTOBER, store)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (
            "https://acme.blob.core.windows.net/costs/billing/daily",
            ("https://acme.blob.core.windows.net", "costs", "billing/daily"),
        ),
        (
            "https://acme.privatelink.example/costs/daily",
            ("https://acme.privatelink.example", "costs", "daily"),
        ),
        (
            "http://127.0.0.1:10000/acme/costs/a/b/daily",
            ("http://127.0.0.1:10000/acme", "costs", "a/b/daily"),
        ),
    ],
)
def test_the_parts_of_an_address(url: str, parts: tuple[str, str, str]) -> None:
    assert _parts(url) == parts
