"""Prometheus: ranges in pieces a server answers, errors within a 200, and readings as a table."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops.errors import DataError, Terminal, Transient
from providers import prometheus
from providers.http import ANONYMOUS, Api, Pace
from providers.prometheus import MOST_POINTS, Range
from tests.stubs.prometheus_server import PrometheusServer, served_prometheus
from tests.stubs.scripted import Answer, Script

START = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def matrix(*values: Any, **labels: str) -> dict[str, Any]:
    series = {"metric": labels, "values": values}
    return {"status": "success", "data": {"resultType": "matrix", "result": [series]}}


def api(address: str) -> Api:
    return Api(address, ANONYMOUS, {}, pace=Pace(20.0, lambda _: None, lambda: 0.0))


def test_a_long_range_is_cut_without_gap_or_overlap() -> None:
    asked = Range("up", START, START + 25_000 * HOUR, HOUR)
    pieces = list(asked.pieces())
    points = [(piece.last - piece.first) // HOUR + 1 for piece in pieces]
    assert points == [MOST_POINTS, MOST_POINTS, 25_001 - 2 * MOST_POINTS]
    for before, after in itertools.pairwise(pieces):
        assert after.first == before.last + HOUR


def test_what_is_asked(script: Script, address: str) -> None:
    script.on("/api/v1/query_range", Answer(json.dumps(matrix()).encode()))
    with api(address) as asked:
        prometheus.query_range(asked, Range("up", START, START + 3 * HOUR, HOUR))
    assert script.requests[0].parameters == {
        "query": "up",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-10-01T03:00:00Z",
        "step": "3600s",
    }


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"status": "error", "errorType": "timeout", "error": "too slow"}, Transient),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, Terminal),
        (matrix() | {"warnings": ["store 2 did not answer"]}, Transient),
        ({"message": "log in"}, Transient),
        (["log in"], Transient),
    ],
)
def test_errors_within_a_200(
    told: Any, error: type[Exception], script: Script, address: str
) -> None:
    script.on("/api/v1/query.*", Answer(json.dumps(told).encode()))
    with api(address) as asked:
        with pytest.raises(error, match="/api/v1/query"):
            prometheus.query(asked, "up")
        with pytest.raises(error, match="/api/v1/query_range"):
            prometheus.query_range(asked, Range("up", START, START, HOUR))


def test_samples_are_exact_and_sorted() -> None:
    told = matrix([1790823600, "0.1"], [1790827200.5, "1e-05"], pod="b", other="x")
    told["data"]["result"] += matrix([Decimal(1790823600), "3"], pod="a")["data"]["result"]
    found = prometheus.samples(told, "reply", ["pod", "namespace"])
    assert found.rows() == [
        ("a", None, datetime(2026, 10, 1, 3, tzinfo=UTC), Decimal(3)),
        ("b", None, datetime(2026, 10, 1, 3, tzinfo=UTC), Decimal("0.1")),
        ("b", None, datetime(2026, 10, 1, 4, 0, 0, 500_000, tzinfo=UTC), Decimal("0.00001")),
    ]


def test_what_is_no_reading_is_left_out() -> None:
    unknown = ["NaN", "+Inf", "-Inf", "9.223372036854775807e+18", "-9223372036854775808"]
    told = matrix(*([1790823600 + place, text] for place, text in enumerate(unknown)))
    assert prometheus.samples(told, "reply", []).is_empty()


def test_a_vector_is_a_table_too() -> None:
    told = {"status": "success", "data": {"result": [{"metric": {}, "value": [0, "7"]}]}}
    assert prometheus.samples(told, "reply", [])["value"].to_list() == [7]


@pytest.mark.parametrize("result", [[{"metric": {}}], ["x"], None, [{"metric": {}, "value": "7"}]])
def test_other_shapes_are_refused(result: Any) -> None:
    with pytest.raises(DataError, match="reply: is no vector or matrix"):
        prometheus.samples({"status": "success", "data": {"result": result}}, "reply", ["pod"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    minutes = [START + timedelta(minutes=minute) for minute in range(26 * 60)]
    with served_prometheus(
        tmp_path_factory.mktemp("prometheus"),
        {'up{job="a"}': [(at, "2") for at in minutes], 'up{job="b"}': [(minutes[0], "NaN")]},
    ) as running:
        yield running


@pytest.mark.slow
def test_a_real_server_answers_what_is_asked(server: PrometheusServer, tmp_path: Path) -> None:
    with api(server.address) as asked:
        (reply,) = prometheus.query_range(asked, Range("up", START, START + 25 * HOUR, HOUR))
        found = prometheus.samples(reply.json(), reply.name, ["job"])
        assert found["job"].unique().to_list() == ["a"]
        assert found["value"].to_list() == [2] * 26
        assert (
            prometheus.samples(prometheus.query(asked, "vector(2)").json(), "", [])["value"][0] == 2
        )


@pytest.mark.slow
def test_a_real_server_refuses_more_points_than_the_pieces_have(server: PrometheusServer) -> None:
    second = timedelta(seconds=1)
    last = START + (MOST_POINTS + 5) * second
    with api(server.address) as asked:
        pieces = prometheus.query_range(asked, Range("up", START, last, second))
        assert len(pieces) == 2
        parameters = {"query": "up", "start": "0", "end": "12000", "step": "1s"}
        with pytest.raises(Terminal, match="exceeded maximum resolution of 11,000 points"):
            asked.get(prometheus.QUERY_RANGE, parameters)


@pytest.mark.slow
def test_a_real_server_refuses_a_broken_expression(server: PrometheusServer) -> None:
    with api(server.address) as asked, pytest.raises(Terminal, match="parse error"):
        prometheus.query(asked, "sum by (")
