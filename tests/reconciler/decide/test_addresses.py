"""Where a person reaches a service."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.decide.addresses import addresses
from runtimes.base import Endpoint, Running
from tests.runtimes.factories import service

NODE = "http://localhost:2835"
SOCKET, PORT = Endpoint(socket="/run/i1/service.sock"), Endpoint(port=1883)


@pytest.mark.parametrize(
    ("manifest", "endpoints", "found"),
    [({"command": ["x"]}, [SOCKET], ["http://app.localhost:2835/", "unix:/run/i1/service.sock"]),
     ({"command": ["x"], "port": 1883}, [PORT, PORT], ["http://app.localhost:2835/", "tcp://127.0.0.1:1883"]),
     ({"command": ["x"], "probes": {"readiness": "none"}}, [SOCKET], []),
     ({"command": ["x"], "probes": {"readiness": "none"}, "port": 1883}, [], ["http://app.localhost:2835/"]),
     ({"image": "x", "port": 80, "publish": ["8080:80", "0.0.0.0:53:53/udp", "[::1]:81:80"]},
      [Endpoint(host="10.213.0.2", port=80)],
      ["http://app.localhost:2835/", "tcp://127.0.0.1:8080", "udp://0.0.0.0:53", "tcp://[::1]:81",
       "tcp://10.213.0.2:80"])],
)  # fmt: skip
def test_where_it_is(manifest: dict[str, Any], endpoints: list[Endpoint], found: list[str]) -> None:
    of = service(runtime="docker" if "image" in manifest else "process", **manifest)
    running = [Running(f"i{number}", of, 0, 1, each, 0.0) for number, each in enumerate(endpoints)]
    assert addresses(of, NODE, running) == found
