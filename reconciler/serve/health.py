"""What monitoring asks a node over HTTP: is it alive, is it ready, how is it doing.

`/livez` answers as long as the router's and the node's event loops turn. `/readyz` is 503 while a service
that should be Ready is not, and names each with the reason. `/metrics` is for Prometheus. All of it is
read-only; the router lets through only what was sent to a name of this node, and says for whom details are
not (`runtimes.router.decide.node_pages`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from reconciler.http.messages import Request, Response, json_response
from reconciler.serve.prometheus import CONTENT_TYPE, ProcessFacts, render

if TYPE_CHECKING:
    from reconciler.http.messages import Handler
    from reconciler.port import NodeApi

_READING = ("GET", "HEAD")

_LANDING = """atek {version}: node {name}

/livez     200 as long as the node works
/readyz    200 when every service is ready, otherwise 503 and what holds it back
           (JSON with Accept: application/json)
/metrics   for Prometheus
"""


def health(node: NodeApi) -> Handler:
    """The pages, for whoever is let in."""

    async def handle(request: Request) -> Response:
        page = _PAGES.get(request.path)
        if page is None:
            return json_response(404, {"error": True, "message": "Not found"})
        if request.method not in _READING:
            message = f"{request.path} can only be read"
            return json_response(405, {"error": True, "message": message}, headers={"allow": "GET, HEAD"})
        return await page(node, request)

    return handle


async def _landing(node: NodeApi, request: Request) -> Response:
    about = node.status()["node"]
    return Response(200, _LANDING.format(version=about["version"], name=about["name"]).encode())


async def _livez(node: NodeApi, request: Request) -> Response:
    return Response(200, b"ok\n")


async def _readyz(node: NodeApi, request: Request) -> Response:
    unready = node.unready()
    status, as_json = 503 if unready else 200, "application/json" in request.headers.get("accept", "")
    if request.headers.get("atek-auth-details") == "none":
        # What the router lets nobody hear who is not signed in, since there are people.
        if as_json:
            return json_response(status, {"ready": not unready})
        return Response(status, b"not ready\n" if unready else b"ok\n")
    if as_json:
        services = {name: why for name, why in unready.items() if name}
        return json_response(
            status, {"ready": not unready, "node": unready.get("") or None, "services": services}
        )
    lines = [f"{name or 'node'}: {' '.join(why.split())}" for name, why in sorted(unready.items())]
    text = "\n".join(["not ready" if unready else "ok", *lines, ""])
    return Response(status, text.encode(errors="replace"))


async def _metrics(node: NodeApi, request: Request) -> Response:
    now, commits = time.time(), node.git.counts()
    text = render(node.status(), node.metrics, process_facts(), now=now, commits=commits)
    text += await node.router.metrics()
    return Response(200, text.encode(errors="replace"), CONTENT_TYPE)


_PAGES = {"/": _landing, "/livez": _livez, "/readyz": _readyz, "/metrics": _metrics}


def process_facts() -> ProcessFacts:
    """This process, from /proc."""
    with open("/proc/self/statm", "rb") as file:
        resident_pages = int(file.read().split()[1])
    times = os.times()
    return ProcessFacts(
        resident_bytes=resident_pages * os.sysconf("SC_PAGE_SIZE"),
        cpu_seconds=times.user + times.system,
        # One of them is the listing's own.
        open_fds=len(os.listdir("/proc/self/fd")) - 1,
        start_time=time.time() - _age(),
    )


def _age() -> float:
    """Seconds since this process started. Its 22nd field counts clock ticks since boot."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
