"""Where a person reaches a service: at the node, by name; at what it publishes; where it listens. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.containers import parse_published

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manifests.model.manifest import Manifest
    from manifests.model.service import Service
    from runtimes.base import Endpoint, Running


def addresses(service: Service, node: str, running: Iterable[Running]) -> list[str]:
    """URLs, the one for a browser first. `node` is the node's own; `running` is what runs of the service."""
    return list(dict.fromkeys(_addresses(service, node, running)))


def _addresses(service: Service, node: str, running: Iterable[Running]) -> Iterator[str]:
    manifest = service.manifest
    if _listens(manifest) and node:
        scheme, _, place = node.partition("://")
        yield f"{scheme}://{service.id}.{place}/"
    for each in map(parse_published, manifest.publish):
        if each.is_fixed:
            yield f"{each.protocol}://{_host(each.address)}:{each.host_port}"
    if _listens(manifest):
        yield from (_url(each.endpoint) for each in running if each.copies is None)


def _listens(manifest: Manifest) -> bool:
    """Whether it says that it listens nowhere; a port of its own speaks against that."""
    return manifest.probes.readiness != "none" or manifest.port is not None or bool(manifest.exports)


def _url(endpoint: Endpoint) -> str:
    return f"unix:{endpoint.socket}" if endpoint.socket else f"tcp://{_host(endpoint.host)}:{endpoint.port}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
