"""A real node's life: `Node` over the ports of this machine.

open ─► Parts (what the ports share) ─► Ports ─► Node ─► live, until it is asked to end ─► close
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from reconciler.apis.inspect import public_config
from reconciler.apis.leaving import Leaving
from reconciler.apis.rename_recorded import finish_recorded
from reconciler.drive.keep_going import keep_going
from reconciler.drive.status import timestamp
from reconciler.errors import UserError
from reconciler.node import Node
from reconciler.parts import VERSION, Opened, make_host, make_parts, way_of
from reconciler.serve.listeners import open_sockets, serve
from reconciler.state.age_key import FILE as AGE_KEY
from reconciler.state.age_key import ensure_identity
from reconciler.state.home import Home
from reconciler.state.settings import load_settings
from reconciler.state.tokens import ensure_tokens
from reconciler.wiring import make_ports
from runtimes.base import RuntimeFailure
from runtimes.network.refusals import Refusals
from runtimes.paths import make_run_directory
from runtimes.processes.log_rate import keep_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reconciler.drive.events import EventLog
    from reconciler.http.messages import Handler
    from reconciler.parts import Parts
    from reconciler.port import Console
    from reconciler.state.settings import Settings
    from runtimes.network.rules import Refusal

#: Seconds after the sources were read until everything else begins that is not needed to start programs.
AFTER_BOOT = 0.02


async def run_node(
    home_path: Path, paths: Sequence[Path], flags: Mapping[str, Any], *, console: Console
) -> int:
    """Runs a node in this home until it is asked to end; returns its exit status. Raises UserError."""
    # Marks in environments and links in /proc are compared as text: one home, one spelling.
    Home(home_path).check(())
    home = Home(home_path.resolve())
    home.check(())
    settings = load_settings(home.path, dict(flags))
    paths = [*(home.path / file for file in settings.sources.files), *paths]
    home.check(paths)
    about = _about(home, settings, paths)
    home.open(about, way_of(settings))
    try:
        await _run_in(home, settings, about, paths, console)
    except RuntimeFailure as failure:
        raise UserError(failure.message, hint=failure.hint) from failure
    finally:
        home.close()
    return 0


def _about(home: Home, settings: Settings, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "name": settings.name,
        "labels": list(settings.labels),
        "version": VERSION,
        "pid": os.getpid(),
        "home": str(home.path),
        "paths": [str(path) for path in paths],
        "startedAt": timestamp(time.time()),
    }


async def _run_in(
    home: Home, settings: Settings, about: Mapping[str, Any], paths: Sequence[Path], console: Console
) -> None:
    tokens = ensure_tokens(home.path)
    if not (home.path / AGE_KEY).exists():
        ensure_identity(home.path)
    run = make_run_directory(home.path, way_of(settings))
    with (
        closing(open_sockets(run, settings.port, remote=settings.remote.enabled)) as sockets,
        closing(make_host(home, settings, run, sockets)) as host,
    ):
        about = {**about, "address": f"http://{settings.domain}:{sockets.port}"}
        home.write_about(about)
        opened = Opened(home=home, settings=settings, about=about, paths=paths, sockets=sockets, host=host)
        parts = await make_parts(opened, tokens)
        node = Node(make_ports(parts))
        _connect_sandboxes(parts, node)
        node.people.leaving = Leaving(node, node.people, parts.installed).settle
        await _live(parts, node, console)


def _connect_sandboxes(parts: Parts, node: Node) -> None:
    """Strict sandboxes have the gateway from the router, and what they are kept from is told."""
    networks = parts.opened.host.networks
    networks.gateway = parts.router
    told = partial(_egress_refused, parts.events)
    networks.refused = Refusals(told, node.metrics.refused_egress, time.monotonic).add


def _egress_refused(events: EventLog, service_id: str, refusal: Refusal) -> None:
    events.emit(service_id, "EgressRefused", str(refusal), warning=True)


async def _live(parts: Parts, node: Node, console: Console) -> None:
    """Everything that goes on next to each other while the node runs."""
    async with anyio.create_task_group() as tasks:
        if parts.client is not None:
            tasks.start_soon(parts.client.run)
        tasks.start_soon(_open, parts, node)
        tasks.start_soon(console, node)
        for run in (
            parts.opened.host.run,
            partial(
                keep_bounded, parts.opened.host.paths.log_root, node.limits.log_rate, node.limits.log_dropped
            ),
            partial(node.limits.run, node.reconciler.instances),
            partial(finish_recorded, node, parts.installed),
            Leaving(node, node.people, parts.installed).settle_all,
        ):
            tasks.start_soon(keep_going, run, node.failed)
        await node.run()
        tasks.cancel_scope.cancel()


async def _open(parts: Parts, node: Node) -> None:
    """Opens the listeners. Whoever connects while the first programs start waits in the backlog."""
    await anyio.sleep(AFTER_BOOT)
    # What was made until now stays; the collector need not look at it again and again.
    gc.freeze()
    gc.enable()
    await serve(node, parts.opened.sockets, parts.router, partial(_make_inner, parts, node))


def _make_inner(parts: Parts, node: Node) -> Handler:
    """What answers to requests that the router forwards to the node: system APIs and pages."""
    from reconciler.apis.assemble import make_system_apis
    from reconciler.apis.repositories import GitRepositories
    from reconciler.serve.health import health
    from reconciler.serve.hooks import hooks
    from reconciler.serve.pages.pages import pages

    settings, port = parts.opened.settings, parts.opened.sockets.port
    return make_system_apis(
        node,
        parts.installed,
        parts.identity,
        public_config(settings, parts.core_services, port=port, version=VERSION),
        repositories=GitRepositories(parts.packages.git, node.is_own, parts.packages.rename),
        answer_timeout=settings.router.answer_timeout,
        main_service=settings.default_main_service,
        otherwise=pages(
            node.people, lambda: node.routing.published, otherwise=hooks(node, otherwise=health(node))
        ),
    )
