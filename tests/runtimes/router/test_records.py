"""What a router writes down of requests: counts for monitoring, and lines for a person who wants them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtimes.router.decide.table import Session
from runtimes.router.tell.metrics import BUCKETS
from tests.runtimes.router.harness import API, call, until
from tests.runtimes.router.instances import Held, sends
from tests.runtimes.router.wire import request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtimes.router.harness import World

pytestmark = pytest.mark.anyio

HOST = "notes.localhost"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(world: World) -> Samples:
    """Every sample, by name and labels, as monitoring reads them."""
    text = world.plane.metrics.text(world.plane.upstreams())
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(world: World, name: str, **labels: str) -> float | None:
    return samples(world).get((f"atek_router_{name}", frozenset(labels.items())))


# -- metrics


async def test_requests_are_counted_by_route_and_status(world: World) -> None:
    await world.service()
    await world.post(call())
    await world.post(call())
    await world.post(call(), token=None)
    await world.ask(host=HOST)
    await world.ask(host="nothing.localhost")
    await world.ask("GET", "/nothing")
    counted = {
        tuple(dict(labels)[name] for name in ("kind", "route", "code")): count
        for (name, labels), count in samples(world).items()
        if name == "atek_router_requests_total"
    }
    assert counted == {
        ("gateway", API, "200"): 2,
        ("gateway", "", "401"): 1,
        ("host", "notes", "200"): 1,
        ("host", "", "404"): 1,
        ("node", "", "404"): 1,
    }


async def test_routes_that_do_not_exist_make_no_series(world: World) -> None:
    """Or anybody could fill the memory of the node and of whoever monitors it."""
    for number in range(3):
        await world.post(call(), api=f"example.com/{number}")
        await world.ask(host=f"s{number}.localhost")
    assert set(world.plane.metrics.all) == {("gateway", ""), ("host", "")}


async def test_how_long_requests_took_is_a_histogram(world: World) -> None:
    await world.service()
    for _ in range(3):
        await world.ask(host=HOST)
    labels = {"kind": "host", "route": "notes"}
    name = "request_duration_seconds"
    below = [value(world, f"{name}_bucket", le=le, **labels) for le in (*map(str, BUCKETS), "+Inf")]
    assert below == sorted(below, key=lambda count: count or 0)
    assert below[-1] == value(world, f"{name}_count", **labels) == 3
    total = value(world, f"{name}_sum", **labels)
    assert total is not None and total > 0


async def test_what_is_open_and_in_flight_is_shown_at_once(world: World) -> None:
    held = Held()
    await world.service(serve=held)
    idle, busy = await world.connect(), await world.connect()
    await busy.send(request("GET", host=HOST))
    await until(lambda: held.waiting and len(world.plane.clients) == 2)
    assert value(world, "requests_in_flight") == 1
    assert value(world, "connections", side="clients") == 2
    assert value(world, "connections", side="instances") == 1
    held.release()
    await busy.answer()
    await idle.close()
    await until(lambda: len(world.plane.clients) == 1)
    assert value(world, "requests_in_flight") == 0
    assert value(world, "connections", side="clients") == 1
    assert value(world, "connections", side="instances") == 1


async def test_what_goes_wrong_is_counted(world: World) -> None:
    await world.service(serve=sends(b"nonsense\r\n\r\n"))
    assert (await world.ask(host=HOST)).status == 502
    assert "error" in (await world.post(call())).json
    client = await world.connect()
    await client.send(b"nonsense\r\n\r\n")
    assert (await client.answer()).status == 400
    assert value(world, "upstream_errors_total", service="notes") == 2
    assert value(world, "refused_total", code="400") == 1
    assert value(world, "requests_in_flight") == 0


async def test_a_client_that_did_not_wait_is_counted_too(world: World) -> None:
    held = Held()
    await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", host=HOST))
    await until(lambda: held.waiting)
    for each in list(world.plane.clients):
        each.abort_all()
    await until(lambda: not world.plane.clients)
    assert value(world, "requests_total", kind="host", route="notes", code="499") == 1


# -- the access log


def logged(world: World, path: Path) -> list[dict[str, Any]]:
    world.plane.sweep()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(world: World) -> Path:
    """Of the access log that the world's router writes."""
    path = world.folder / "access.log"
    world.replace_plane(access_log=str(path))
    return path


async def test_a_line_says_who_asked_for_what_and_what_came_of_it(world: World, path: Path) -> None:
    await world.service()
    caller = await world.service("caller", owner="alice", exports=())
    await world.ask("PUT", "/a/b", caller.bearer, "X-Request-Id: mine", host=f"{HOST}:80", body=b"x")
    (line,) = logged(world, path)
    assert line.pop("time") > 1e9 and line.pop("ms") > 0
    assert line == {
        "id": "mine",
        "peer": "127.0.0.1",
        "method": "PUT",
        "host": HOST,
        "path": "/a/b",
        "route": "notes",
        "status": 200,
        "user": "alice",
        "service": "key-of-caller",
    }


async def test_every_request_has_a_line(world: World, path: Path) -> None:
    service = await world.service()
    await world.post(call(), unix=True)
    await world.post([call(), call()])
    await world.post(call(), token=None)
    await world.ask("GET", "/nothing")
    await world.ask(host="nothing.localhost")
    lines = logged(world, path)
    assert [line["status"] for line in lines] == [200, 200, 401, 404, 404]
    assert [line["route"] for line in lines] == [API, API, "", "", ""]
    assert [line["peer"] for line in lines] == ["unix", *["127.0.0.1"] * 4]
    assert lines[0]["id"] == service.requests[0]["x-request-id"]


async def test_what_is_no_request_has_a_line_with_the_reason_and_nothing_of_it(
    world: World, path: Path
) -> None:
    await world.service()
    for sent in (
        b"GET /secret HTTP/1.1\r\nHost: a\r\nHost: secret\r\n\r\n",
        request("POST", "/", "Transfer-Encoding: chunked", host=HOST) + b"secret\r\n",
    ):
        client = await world.connect()
        await client.send(sent)
        assert (await client.answer()).status == 400
        await client.close()
    await until(lambda: not world.plane.clients)
    refused = [line for line in logged(world, path) if "reason" in line]
    assert [(line["peer"], line["status"], line["reason"]) for line in refused] == [
        ("127.0.0.1", 400, "a request has exactly one Host"),
        ("127.0.0.1", 400, "a chunk does not begin with its size"),
    ]
    assert "secret" not in json.dumps(refused)


async def test_neither_tokens_nor_queries_are_written_down(world: World, path: Path) -> None:
    service = await world.service(owner="bob")
    world.sign_in({"the-session": Session("bob")}, private=True)
    await world.post(call(), token=service.token)
    await world.ask("GET", "/?secret=1", service.bearer, host=HOST)
    await world.ask("GET", "/?bst=secret", "Cookie: session=the-session", host=HOST)
    bind = "/_atek/bind-session?service=notes&path=%2Fsecret"
    answer = await world.ask("GET", bind, "Cookie: session=the-session")
    await world.ask("GET", "/", "Authorization: Basic c2VjcmV0", host=HOST)
    assert len(logged(world, path)) == 5
    written = path.read_text()
    for secret in (service.token, "the-session", "secret", "c2VjcmV0", answer["location"].rpartition("=")[2]):
        assert secret not in written


async def test_the_log_is_its_owners_and_may_be_moved_away(world: World, path: Path) -> None:
    await world.ask("GET", "/one")
    assert [line["path"] for line in logged(world, path)] == ["/one"]
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(path.with_suffix(".old"))
    await world.ask("GET", "/two")
    assert [line["path"] for line in logged(world, path)] == ["/two"]


async def test_a_log_that_cannot_be_written_stops_no_request(world: World) -> None:
    world.replace_plane(access_log="/nonexistent/access.log")
    await world.service()
    for _ in range(2):
        assert (await world.ask(host=HOST)).status == 200
        world.plane.sweep()


async def test_what_a_client_sends_cannot_break_a_line(world: World, path: Path) -> None:
    client = await world.connect()
    await client.send(request("GET", '/"},{"x":"\\', host=HOST))
    await client.answer()
    (line,) = logged(world, path)
    assert line["path"] == '/"},{"x":"\\'


async def test_the_last_answers_of_a_node_are_written_down_when_it_has_ended(
    world: World, path: Path
) -> None:
    held = Held()
    await world.service(serve=held)
    client = await world.connect()
    await client.send(request("GET", "/last", host=HOST))
    await until(lambda: held.waiting)
    ended = world.plane.end()
    held.release()
    await client.answer()
    await ended.wait()
    assert [json.loads(line)["path"] for line in path.read_text().splitlines()] == ["/last"]
