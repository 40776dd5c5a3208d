"""Where a container runs: on this machine's engine, or wherever the engine's swarm puts it.

A machine of a swarm has nothing of this one but the service's image: no folder, no socket, no gateway. What
a manifest says that means something on this machine only is refused, instead of meaning something else there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.containers import parse_volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.spec import Spec


def swarm_violation(spec: Spec) -> str | None:
    """Why a manifest cannot be run by a swarm; None when it can, or is not to be."""
    return next(_violations(spec), None) if spec.placement == "swarm" else None


def _violations(spec: Spec) -> Iterator[str]:
    if spec.image is None:
        yield "placement: swarm needs an image that every machine of the swarm can pull"
    if spec.pull == "never":
        yield "with placement: swarm every machine looks for the image itself; leave pull out"
    if spec.network != "bridge":
        yield f"with placement: swarm there is no network: {spec.network}; leave it out"
    if spec.publish:
        yield "with placement: swarm machines choose the ports of their tasks; write port instead of publish"
    if spec.port is not None and not spec.egress:
        yield "a port in a swarm comes with a way out to other machines; say so with egress: true"
    if spec.isolation is not None:
        yield "a swarm cannot be asked for an isolation; make it the default of its engines"
    if not all(parse_volume(each).named for each in spec.volumes):
        yield "with placement: swarm volumes have names; folders of this machine are not on the others"
    if spec.project is not None or spec.entrypoint or spec.labels:
        yield "project, entrypoint and labels are for containers of this machine, not with placement: swarm"
    if spec.nodes is not None and len(spec.nodes) > 1:
        yield "a swarm takes one of nodes; give the machines a label in common and name that"
    yield from _probes(spec)


def _probes(spec: Spec) -> Iterator[str]:
    found = (spec.probes.startup, spec.probes.readiness, spec.probes.liveness)
    for probe in found:
        if probe is None or probe == "none":
            continue
        if probe.exec is not None:
            yield "with placement: swarm a probe runs no command; use httpGet, or the image's HEALTHCHECK"
        elif spec.port is None:
            yield "with placement: swarm a probe needs the service's port"
        elif (probe.http_get and probe.http_get.port) or (probe.tcp_socket and probe.tcp_socket.port):
            yield "with placement: swarm a probe asks the service's own port; leave the probe's port out"
