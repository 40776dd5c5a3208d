"""What a swarm is asked for: a service of the node as a service of the swarm. Pure.

One revision is one service of the swarm; so the node's own way from an old revision to a new one (start, wait
until it is ready, switch the route, drain, remove) is that of every other runtime. Within a revision the
swarm keeps the tasks: only it learns that a machine is lost. Hence its restart policy is the manifest's, and
not `none` as for containers of this machine.

A task has the rights of a container here: no capabilities but those listed, no new privileges, a root file
system that cannot be written, a network that only tasks of the same service are on. Its port is published by
the machine that it runs on, at a number which that machine chooses: this needs neither the routing mesh
(IPVS) in the kernels nor this machine in the tasks' network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifests.model.containers import Volume, parse_volume
from runtimes.docker.labels import NODE, labels
from runtimes.docker.spec import AUTO_PORT, DATA, volume_name, with_tag
from runtimes.processes.variables import expand, own_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifests.model.manifest import Manifest
    from runtimes.base import Launch

#: The longest name that a swarm gives a service.
_LONGEST_NAME = 63
_NANO = 1_000_000_000
#: A swarm's restarts do not slow down by themselves; each one is written down by all managers. Seconds.
LEAST_DELAY = 1.0
_CONDITIONS = {"always": "any", "onFailure": "on-failure", "never": "none"}
#: No volume of a manifest has such a name.
_DATA_VOLUME = "_data"
_LOG = {"Name": "json-file", "Options": {"max-size": "8m", "max-file": "2"}}
#: Folders that programs write to although they are no data: bytes, and the mode.
_SCRATCH = {"/tmp": (2**28, 0o1777), "/run": (2**26, 0o755)}


def service_port(manifest: Manifest) -> int | None:
    """The port inside of every task."""
    return AUTO_PORT if manifest.port == "auto" else manifest.port


def service_name(node: str, service_id: str, instance: str) -> str:
    """Unique among all nodes of a swarm, whatever is cut off at its end."""
    name = f"atek-{node[:8]}-{instance}-{service_id.replace('.', '-')}"
    return name[:_LONGEST_NAME].rstrip("-")


def network_name(node: str, manifest: Manifest) -> str:
    """That of the network which the tasks of one service share, through its revisions."""
    return f"atek-{node[:8]}-{manifest.id}-{'egress' if manifest.egress else 'private'}"


def network(node: str, manifest: Manifest) -> dict[str, Any]:
    """The body of `POST /networks/create`. Without `egress` it leads nowhere, nor can it be reached."""
    return {
        "Name": network_name(node, manifest),
        "CheckDuplicate": True,
        "Driver": "overlay",
        "Internal": not manifest.egress,
        "Labels": {NODE: node},
    }


def service(launch: Launch, node: str) -> dict[str, Any]:
    """The body of `POST /services/create`. Raises PermanentFailure for a command that cannot be."""
    manifest = launch.service.manifest
    port = service_port(manifest)
    ports = [{"Protocol": "tcp", "TargetPort": port, "PublishMode": "host"}]
    return {
        "Name": service_name(node, manifest.id, launch.instance),
        "Labels": labels(node, launch, port),
        "TaskTemplate": {
            "ContainerSpec": _container(launch, node, port),
            "Resources": {"Limits": _limits(manifest)},
            "RestartPolicy": {
                "Condition": _CONDITIONS[manifest.restart.policy],
                "Delay": int(max(manifest.restart.initial_delay, LEAST_DELAY) * _NANO),
            },
            "Placement": {"Constraints": constraints(manifest)},
            "Networks": [{"Target": network_name(node, manifest)}],
            "LogDriver": _LOG,
        },
        "Mode": {"Replicated": {"Replicas": manifest.replicas}},
        # Of use when a person has it done (`docker service update --force`): the node makes a new service.
        "UpdateConfig": {
            "Parallelism": 1,
            "FailureAction": "pause",
            "Order": "start-first" if manifest.strategy == "rolling" else "stop-first",
        },
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [] if port is None else ports},
    }


def constraints(manifest: Manifest) -> list[str]:
    """`nodes:` in the swarm's words. A label is one whose value is `true`."""
    return [
        f"node.hostname=={each}" if isinstance(each, str) else f"node.labels.{each.label}==true"
        for each in manifest.nodes or ()
    ]


def _container(launch: Launch, node: str, port: int | None) -> dict[str, Any]:
    manifest = launch.service.manifest
    environment = _environment(launch, port)
    container: dict[str, Any] = {
        "Image": with_tag(manifest.image or ""),
        "Hostname": manifest.id.replace(".", "-"),
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "ReadOnly": manifest.read_only,
        "CapabilityDrop": ["ALL"],
        "CapabilityAdd": [f"CAP_{name}" for name in manifest.capabilities],
        "Privileges": {"NoNewPrivileges": True},
        "Mounts": _mounts(manifest, node),
        "StopGracePeriod": int(manifest.stop.grace_period * _NANO),
    }
    if manifest.command:
        container["Args"] = expand(manifest.command, environment)
    if manifest.user:
        container["User"] = manifest.user
    if "signal" in manifest.stop.model_fields_set:
        container["StopSignal"] = manifest.stop.signal
    return container


def _environment(launch: Launch, port: int | None) -> Mapping[str, str]:
    """Without the node's port and the token: no task can reach the node's gateway."""
    node = {"ATEK_ASSIGNED_SERVICE_KEY": launch.identity.get("key", ""), "ATEK_DATA_DIR": DATA}
    if port is not None:
        node["PORT"] = str(port)
    # What the image says is not known here: machines of the swarm pull it by themselves.
    own = own_variables(launch.service.manifest, {"HOME": DATA, **node})
    return {"HOME": DATA, **own, **node}


def _mounts(manifest: Manifest, node: str) -> list[dict[str, Any]]:
    """Each machine has volumes of its own under these names, which outlive the tasks."""
    named = [Volume(_DATA_VOLUME, DATA), *map(parse_volume, manifest.volumes)]
    mounts: list[dict[str, Any]] = [
        {
            "Type": "volume",
            "Source": volume_name(node, manifest.id, volume),
            "Target": volume.target,
            "ReadOnly": volume.read_only,
            "VolumeOptions": {"Labels": {NODE: node}},
        }
        for volume in named
    ]
    if manifest.read_only:
        mounts += [
            {"Type": "tmpfs", "Target": target, "TmpfsOptions": {"SizeBytes": size, "Mode": mode}}
            for target, (size, mode) in _SCRATCH.items()
        ]
    return mounts


def _limits(manifest: Manifest) -> dict[str, int]:
    limits = manifest.resources
    found = {
        "MemoryBytes": limits.memory,
        "NanoCPUs": None if limits.cpu is None else int(limits.cpu * _NANO),
        "Pids": limits.pids,
    }
    return {name: value for name, value in found.items() if value is not None}
