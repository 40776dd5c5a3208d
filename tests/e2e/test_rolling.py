"""Updates under load: whoever uses a service notices nothing of its new revisions."""

from __future__ import annotations

import http.client
import sys
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.load import API, Load

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

ECHO = str(Path(__file__).with_name("echo_service.py"))
REVISIONS = 50


def declare(bench: Bench, value: str, *, takes: str = "0.01", **more: Any) -> None:
    bench.declare(
        "echo", sys.executable, ECHO, env={"VALUE": value, "TAKES": takes}, probes={},
        exports=[{"api": API, "path": "/"}], **more,
    )  # fmt: skip


def load_of(bench: Bench) -> Load:
    port = int(bench.status()["node"]["address"].rpartition(":")[2])
    return Load(port, bench.atek("token").stdout.strip(), "echo")


def test_fifty_revisions_go_in_and_nobody_notices(bench: Bench) -> None:
    declare(bench, "r0", replicas=2)
    bench.up()
    bench.until(lambda: bench.ready("echo"), "ready")
    with load_of(bench).running(pages=12, calls=12) as load:
        for number in range(1, REVISIONS + 1):
            value = f"r{number}"
            declare(bench, value, replicas=2)
            bench.until(partial(load.has_seen, value, 24), f"{value} serves")
        last = bench.service("echo")["desiredRevision"]
        bench.until(
            lambda: {each["revision"] for each in bench.service("echo")["instances"]} == {last},
            "the last one",
        )
    assert load.failures == []
    assert set(load.seen) == {f"r{number}" for number in range(REVISIONS + 1)}


def test_a_node_that_ends_answers_what_it_was_asked(bench: Bench) -> None:
    declare(bench, "r0", takes="1.5")
    bench.up()
    bench.until(lambda: bench.ready("echo"), "ready")
    load = load_of(bench)
    clients = [http.client.HTTPConnection("127.0.0.1", load.port, timeout=30) for _ in range(8)]
    for client in clients:
        client.request("GET", "/", headers={"Host": "echo.localhost"})
    # The page that is asked for is in flight too.
    bench.until(lambda: in_flight(load.port) == len(clients) + 1, "all are asked")
    assert bench.stop() == 0
    answers = [client.getresponse() for client in clients]
    assert [(each.status, each.read(), each.getheader("connection")) for each in answers] == [
        (200, b"r0", "close")
    ] * len(clients)
    assert bench.processes() == {}


def in_flight(port: int) -> float:
    """Requests that the router is answering at this moment."""
    with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return next(each.samples[0].value for each in families if each.name == "atek_router_requests_in_flight")
