"""Where a container runs: on this machine's engine, or wherever the engine's swarm puts it. Pure.

A machine of a swarm has nothing of this one but the service's image: no folder, no socket, no gateway. What
a manifest says that means something on this machine only is refused, instead of meaning something else there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from manifests.model.containers import parse_volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.manifest import Manifest

Placement = Literal["local", "swarm"]


def objection(manifest: Manifest) -> str | None:
    """Why a manifest cannot be run by a swarm; None when it can, or is not to be."""
    return next(_objections(manifest), None) if manifest.placement == "swarm" else None


def _objections(manifest: Manifest) -> Iterator[str]:
    if manifest.image is None:
        yield "placement: swarm needs an image that every machine of the swarm can pull"
    if manifest.pull == "never":
        yield "with placement: swarm every machine looks for the image itself; leave pull out"
    if manifest.network != "bridge":
        yield f"with placement: swarm there is no network: {manifest.network}; leave it out"
    if manifest.publish:
        yield "with placement: swarm machines choose the ports of their tasks; write port instead of publish"
    if manifest.port is not None and not manifest.egress:
        yield "a port in a swarm comes with a way out to other machines; say so with egress: true"
    if manifest.isolation is not None:
        yield "a swarm cannot be asked for an isolation; make it the default of its engines"
    if not all(parse_volume(each).named for each in manifest.volumes):
        yield "with placement: swarm volumes have names; folders of this machine are not on the others"
    if manifest.project is not None or manifest.entrypoint or manifest.labels:
        yield "project, entrypoint and labels are for containers of this machine, not with placement: swarm"
    if manifest.nodes is not None and len(manifest.nodes) > 1:
        yield "a swarm takes one of nodes; give the machines a label in common and name that"
    yield from _probes(manifest)


def _probes(manifest: Manifest) -> Iterator[str]:
    found = (manifest.probes.startup, manifest.probes.readiness, manifest.probes.liveness)
    for probe in found:
        if probe is None or probe == "none":
            continue
        if probe.exec is not None:
            yield "with placement: swarm a probe runs no command; use httpGet, or the image's HEALTHCHECK"
        elif manifest.port is None:
            yield "with placement: swarm a probe needs the service's port"
        elif (probe.http_get and probe.http_get.port) or (probe.tcp_socket and probe.tcp_socket.port):
            yield "with placement: swarm a probe asks the service's own port; leave the probe's port out"
