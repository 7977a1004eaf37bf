"""The HTTP client: what it retries, how long it waits, and what it never says."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from finops.errors import Terminal, Transient
from providers.http import ATTEMPTS, LONGEST_WAIT_SECONDS, Api, Pace, Reply, bearer, wait_seconds
from tests.stubs.faults import Fault, standard_faults
from tests.stubs.scripted import JSON, Answer, Script, serve

KEY = "rpa_SECRETKEY123"
BEYOND_TIME = "Fri, 31 Dec 9999 23:59:59 -2300"
GOOD = Answer(b'{"amount": 0.1000000000000000055, "count": 3}')


def connect(
    address: str,
    waits: list[float],
    jitter: Callable[[], float] = lambda: 0.0,
    timeout_seconds: float = 20.0,
) -> Api:
    advice = {403: "grant the billing scope"}
    return Api(address, bearer(KEY), advice, pace=Pace(timeout_seconds, waits.append, jitter))


@pytest.mark.parametrize("fault", standard_faults(GOOD), ids=lambda fault: fault.name)
def test_faults(fault: Fault, script: Script, address: str) -> None:
    script.on("/bill", *fault.answers, *([] if fault.repeats else [GOOD]))
    waits: list[float] = []
    with connect(address, waits, timeout_seconds=fault.timeout_seconds) as api:
        if fault.raises is None:
            assert api.get("/bill").json() == {
                "amount": Decimal("0.1000000000000000055"),
                "count": 3,
            }
            assert [round(wait, 3) for wait in waits] == list(fault.waits)
        else:
            with pytest.raises(fault.raises) as caught:
                api.get("/bill").json()
            assert type(caught.value) is fault.raises
            assert fault.says in str(caught.value)
            assert KEY not in str(caught.value)


def test_gives_up_after_the_last_try(script: Script, address: str) -> None:
    script.on("/bill", Answer(b"", 503))
    waits: list[float] = []
    with connect(address, waits) as api, pytest.raises(Transient):
        api.get("/bill")
    assert len(script.asked("/bill")) == ATTEMPTS
    assert waits == [1, 2, 4, 8]


def test_refusals_are_not_tried_again(script: Script, address: str) -> None:
    script.on("/bill", Answer(b"scope missing", 403))
    waits: list[float] = []
    with connect(address, waits) as api, pytest.raises(Terminal) as caught:
        api.get("/bill")
    assert "(scope missing); grant the billing scope" in str(caught.value)
    assert (len(script.requests), waits) == (1, [])


def test_the_path_of_the_address_is_named(script: Script, address: str) -> None:
    script.on("/jenkins/computer", Answer(b"", 403), Answer(b"", 503))
    with connect(f"{address}/jenkins", []) as api:
        with pytest.raises(Terminal, match=f"^{address}/jenkins/computer\\?depth=1: answered 403"):
            api.get("/computer", {"depth": "1"})
        with pytest.raises(Transient, match=f"^{address}/jenkins/computer: answered 503"):
            api.get("/computer")
    lost = pytest.raises(Transient, match=r"^http://127\.0\.0\.1:1/jenkins/computer: ConnectError")
    with connect("http://127.0.0.1:1/jenkins", []) as api, lost:
        api.get("/computer")


def test_unknown_host_is_transient() -> None:
    waits: list[float] = []
    with connect("http://127.0.0.1:1", waits) as api, pytest.raises(Transient, match="try 5 of 5"):
        api.get("/bill")
    assert len(waits) == ATTEMPTS - 1


def test_address_that_is_none() -> None:
    with connect("ftp://127.0.0.1", []) as api, pytest.raises(Terminal, match="not an http"):
        api.get("/bill")


@pytest.mark.parametrize("key", ["rpa_S\nECRET", "rpa_S\u2026"])
def test_key_that_cannot_be_sent_is_not_shown(key: str) -> None:
    with pytest.raises(Terminal, match="copy it again") as caught:
        bearer(key)
    assert "rpa_S" not in str(caught.value)


def test_key_echoed_by_the_server_is_not_repeated(script: Script, address: str) -> None:
    script.on("/bill", Answer(f"bad key {KEY}".encode(), 401))
    with connect(address, []) as api, pytest.raises(Terminal) as caught:
        api.get("/bill")
    assert "bad key [key]" in str(caught.value)


def test_key_is_not_sent_to_where_a_redirect_points(script: Script, address: str) -> None:
    elsewhere = Script()
    with serve(elsewhere) as other:
        script.on("/bill", Answer(b"", 302, {"Location": f"{other}/bill"}))
        with connect(address, []) as api, pytest.raises(Terminal):
            api.get("/bill")
    assert elsewhere.requests == []


def test_wait_is_capped_and_jittered(script: Script, address: str) -> None:
    script.on("/bill", Answer(b"", 429, {"Retry-After": "86400"}), Answer(b"", 503), GOOD)
    waits: list[float] = []
    with connect(address, waits, jitter=lambda: 1.0) as api:
        api.get("/bill")
    assert waits == [LONGEST_WAIT_SECONDS, 2 * 1.25]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": NaN}',
        b"[-Infinity]",
        b"\xff",
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b"[1e" + b"9" * 30 + b"]", id="exponent"),
    ],
)
def test_what_is_no_json(body: bytes, script: Script, address: str) -> None:
    script.on("/bill", Answer(body))
    with connect(address, []) as api, pytest.raises(Transient, match="complete JSON"):
        api.get("/bill").json()


def test_tolerated_status_is_returned(script: Script, address: str) -> None:
    script.on("/bill", Answer(b"no such thing", 404))
    with connect(address, []) as api:
        assert api.get("/bill", tolerate=frozenset({404})).status == 404


def test_request_and_receipt(script: Script, address: str) -> None:
    dated = JSON | {"Date": "Sat, 03 Oct 2026 10:20:30 GMT", "ETag": '"v7"'}
    script.on("/bill", Answer(GOOD.body, headers=dated))
    with connect(address, []) as api:
        reply = api.get("/bill", {"start": "2026-10-01T00:00:00Z", "a": "1"})
    assert script.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert reply.name == "/bill?a=1&start=2026-10-01T00:00:00Z"
    assert reply.body == GOOD.body
    assert reply.receipt() == {
        "endpoint": "/bill",
        "parameters": '{"a": "1", "start": "2026-10-01T00:00:00Z"}',
        "status": "200",
        "fetched_at": "2026-10-03T10:20:30+00:00",
        "etag": '"v7"',
    }


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {}, 0),
        (429, {"retry-after": "soon"}, 0),
        (429, {"retry-after": "-3"}, 0),
        (429, {"retry-after": "nan"}, 0),
        (429, {"retry-after": BEYOND_TIME}, 0),
        (429, {"retry-after": "Sat, 03 Oct 2026 10:21:00 GMT", "date": BEYOND_TIME}, 0),
        (429, {"retry-after": "Sat, 03 Oct 2026 10:21:00 GMT"}, 30),
        (429, {"x-ratelimit-reset": "1791022860"}, 30),
        (429, {"x-ms-ratelimit-qpu-retry-after": "9", "retry-after": "4"}, 9),
        (503, {"retry-after": "6", "x-ratelimit-reset": "600"}, 6),
    ],
)
def test_wait_seconds(status: int, headers: dict[str, str], seconds: float) -> None:
    dated = {"date": "Sat, 03 Oct 2026 10:20:30 GMT", **headers}
    assert wait_seconds(Reply("/bill", {}, status, dated, b"")) == seconds


def test_it_rests_between_requests_where_a_provider_asks_for_that(
    script: Script, address: str
) -> None:
    script.on("/bill", GOOD)
    waits: list[float] = []
    pace = Pace(rest=waits.append)
    with Api(address, bearer(KEY), {}, pace=pace, seconds_between=1.5) as api:
        for _ in range(3):
            api.get("/bill")
    assert waits == [1.5, 1.5]
