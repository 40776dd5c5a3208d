"""What the engine is asked for: a service as a container. Pure.

A container has no rights that its manifest does not list: no capabilities, no way to gain privileges, a
root file system that cannot be written, no way out to other machines, nothing of this machine's but its own
data folder, the folder of its socket, and the node's gateway. The engine never restarts it: the planner does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from manifests.model.containers import parse_published, parse_volume
from runtimes.base import PermanentFailure
from runtimes.docker.labels import NODE, labels
from runtimes.processes.variables import (
    ROUTER_VARIABLE,
    SOCKET_VARIABLE,
    SYSTEM_PATH,
    TOKEN_VARIABLE,
    expand,
    own_variables,
    secret_variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from manifests.model.containers import Engine, Health, Volume
    from manifests.model.manifest import Manifest
    from manifests.model.service import Service
    from runtimes.base import Launch, SecretFile

#: Where things are inside of every container.
INSIDE = "/atek"
DATA, SOCKETS, GATEWAY = f"{INSIDE}/data", f"{INSIDE}/run", f"{INSIDE}/gateway"
SOCKET_NAME, GATEWAY_NAME = "service.sock", "gateway.sock"
#: What `port: auto` is on an address of one's own.
AUTO_PORT = 8080
#: Names a container inside; every container of a service has the same.
_LONGEST_HOSTNAME = 63
#: Bytes of output that the engine keeps for each of two files: the node's own log has what was before.
_LOG_SIZE = "8m"
#: Folders that programs write to although they are no data, and their size.
_SCRATCH = {"/tmp": "rw,nosuid,nodev,mode=1777,size=256m", "/run": "rw,nosuid,nodev,mode=755,size=64m"}
# Docker lets every program have ports below 1024 in a network of its own; Podman has to be asked to.
_FIRST_FREE_PORT = "net.ipv4.ip_unprivileged_port_start"
#: Each token's name among those of an instance, and the variable that a program finds it by.
TOKENS = {"token": TOKEN_VARIABLE, "routerToken": ROUTER_VARIABLE}
_NANO = 1_000_000_000
_TAG = re.compile(r"[^/]*:[^/:]*$")


#: What a Git source has made for containers to mount, below the folder of all of them.
_COPY = re.compile(r"/[0-9a-f]{16}/[0-9a-f]{64}-copy/content$")


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says about itself. `health`: it has a HEALTHCHECK; `volumes`: its VOLUMEs, as paths."""

    id: str
    user: str = ""
    ports: tuple[int, ...] = ()
    health: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What this node gives to a container. `data`, `sockets` and `gateway` are folders of this machine.

    `network`: what the engine calls the network, or `none`, or `host`. `binds` are folders that the node's
    owner lets services have. `user` runs containers of images that name none, `group` is another one that all
    are in. `volumes`: what the engine
    calls named volumes, by their names in the manifest, and the image's VOLUMEs, by their paths.
    """

    node: str
    host_port: int
    data: str
    sockets: str
    gateway: str
    network: str
    binds: Sequence[str] = ()
    #: Where copies of what repositories have are: they are for reading.
    copies: str = ""
    user: str = ""
    group: int | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    #: Where the files of secrets are on this machine, by their names.
    secrets: Mapping[str, str] = field(default_factory=dict)


def with_tag(reference: str) -> str:
    """Without a tag the engine would pull every version there is."""
    return reference if "@" in reference or _TAG.search(reference) else f"{reference}:latest"


def service_port(manifest: Manifest, image: Image, free_port: int) -> int | None:
    """The port inside; the only one that the image exposes when the manifest says none."""
    if manifest.port == "auto":
        return free_port if manifest.network == "host" else AUTO_PORT
    if manifest.port is None and manifest.network == "bridge" and len(image.ports) == 1:
        return image.ports[0]
    return manifest.port


def container_name(node: str, service_id: str, instance: str) -> str:
    """Unique among all nodes of an engine."""
    return f"atek-{node[:8]}-{service_id}-{instance}"


def container(launch: Launch, image: Image, place: Place, port: int | None) -> dict[str, Any]:
    """The body of `POST /containers/create`. Raises PermanentFailure for what this node does not allow."""
    manifest = launch.service.manifest
    environment = _environment(launch, place, port, image)
    body: dict[str, Any] = {
        "Image": image.id,
        "Hostname": manifest.id.replace(".", "-")[:_LONGEST_HOSTNAME],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {**manifest.labels, **labels(place.node, launch, port)},
        "HostConfig": _host(launch, place),
    }
    visible = {**image.environment, **environment}
    if manifest.entrypoint is not None:
        body["Entrypoint"] = expand(manifest.entrypoint, visible, launch.secrets.env)
    if manifest.command:
        body["Cmd"] = expand(manifest.command, visible, launch.secrets.env)
    if user := manifest.user or (place.user if not (image.user or manifest.project) else ""):
        body["User"] = user
    if manifest.project is not None and manifest.network == "bridge":
        endpoint = {"Aliases": list(manifest.project.aliases)}
        body["NetworkingConfig"] = {"EndpointsConfig": {place.network: endpoint}}
    if manifest.project is not None and (health := manifest.project.health) is not None:
        body["Healthcheck"] = _health(health)
    if manifest.project is not None and manifest.project.engine is not None:
        _add_engine(body, manifest.project.engine)
    if "signal" in manifest.stop.model_fields_set:
        body["StopSignal"] = manifest.stop.signal
    if manifest.network == "bridge" and manifest.publish:
        body["ExposedPorts"] = {f"{each.container_port}/{each.protocol}": {} for each in _published(manifest)}
    return body


def _add_engine(body: dict[str, Any], engine: Engine) -> None:
    """What a Compose file says that means something to the engine alone."""
    host = body["HostConfig"]
    said = {"Hostname": engine.hostname, "Domainname": engine.domainname, "WorkingDir": engine.working_dir}
    body |= {key: value for key, value in said.items() if value is not None}
    host |= {"Init": engine.init} if engine.init is not None else {}
    host |= {"ShmSize": engine.shm_size} if engine.shm_size is not None else {}
    host |= {"ExtraHosts": list(engine.extra_hosts)} if engine.extra_hosts else {}
    if engine.stdin_open:
        body["OpenStdin"] = True
    for each in engine.tmpfs:
        path, _, options = each.partition(":")
        host["Tmpfs"] = {**host["Tmpfs"], path: options}


def _health(health: Health) -> dict[str, int]:
    """Without a test it is the image's; times are in nanoseconds."""
    times = {"Interval": health.interval, "Timeout": health.timeout, "StartPeriod": health.start_period}
    found = {name: int(seconds * _NANO) for name, seconds in times.items() if seconds is not None}
    return found | ({"Retries": health.retries} if health.retries else {})


def _environment(launch: Launch, place: Place, port: int | None, image: Image) -> dict[str, str]:
    manifest = launch.service.manifest
    home = {} if manifest.project else {"HOME": DATA}
    node = {
        SOCKET_VARIABLE: f"{SOCKETS}/{SOCKET_NAME}",
        "ATEK_ASSIGNED_SERVICE_KEY": launch.identity.get("key", ""),
        "ATEK_HOST_PORT": str(place.host_port),
        "ATEK_HOST_SOCKET": f"{GATEWAY}/{GATEWAY_NAME}",
        **{name: launch.identity[key] for key, name in TOKENS.items() if launch.identity.get(key)},
        "ATEK_DATA_DIR": DATA,
    }
    # A project's program listens where its image says, and may mean something else by PORT.
    if port is not None and not manifest.project:
        node["PORT"] = str(port)
    known = {"PATH": SYSTEM_PATH, **image.environment, **home, **node}
    files = {each.name: secret_target(each) for each in launch.secrets.files if each.target is None}
    return {**home, **secret_variables(launch, files), **own_variables(manifest, known), **node}


def secret_target(file: SecretFile) -> str:
    """Where a secret is inside."""
    return file.target or f"/run/secrets/{file.name}"


def _host(launch: Launch, place: Place) -> dict[str, Any]:
    manifest = launch.service.manifest
    limits = manifest.resources
    mounted = [each for each in map(parse_volume, manifest.volumes) if not _is_old_bind(manifest, each)]
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},
        "CapDrop": ["ALL"],
        "CapAdd": list(manifest.capabilities),
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": manifest.read_only,
        "Tmpfs": _scratch(manifest, place),
        "NetworkMode": place.network,
        "Mounts": [
            *_own_mounts(place),
            *(_mount(manifest, place, each) for each in mounted),
            *_image_mounts(place),
            *(
                _bind(place.secrets[each.name], secret_target(each), read_only=True)
                for each in launch.secrets.files
            ),
        ],
        "Binds": _old_binds(manifest, place),
        "LogConfig": {"Type": "json-file", "Config": {"max-size": _LOG_SIZE, "max-file": "2"}},
        "PortBindings": _bindings(manifest),
        "Sysctls": {} if manifest.network == "host" else {_FIRST_FREE_PORT: "0"},
    }
    if place.group is not None:
        host["GroupAdd"] = [str(place.group)]
    if limits.memory is not None:
        # Without swap of its own: a limit that can be exceeded on disk makes a small machine stand still.
        host |= {"Memory": limits.memory, "MemorySwap": limits.memory}
    if limits.cpu is not None:
        host["NanoCpus"] = int(limits.cpu * _NANO)
    if limits.pids is not None:
        host["PidsLimit"] = limits.pids
    if manifest.isolation is not None:
        host["Runtime"] = manifest.isolation
    return host


def image_volumes(manifest: Manifest, image: Image) -> list[str]:
    """What the image wants to keep, and the manifest has no place of its own for."""
    placed = {normpath(parse_volume(each).target) for each in manifest.volumes}
    found = {normpath(path) for path in image.volumes}
    return sorted(path for path in found - placed if not path.startswith(f"{INSIDE}/"))


def _scratch(manifest: Manifest, place: Place) -> dict[str, str]:
    """Unless the image keeps there what it writes."""
    if not manifest.read_only:
        return {}
    return {path: how for path, how in _SCRATCH.items() if path not in place.volumes}


def _image_mounts(place: Place) -> list[dict[str, Any]]:
    """Named by the path, which no named volume is. The engine copies there what the image has."""
    return [
        {"Type": "volume", "Source": name, "Target": path}
        for path, name in place.volumes.items()
        if path.startswith("/")
    ]


def _own_mounts(place: Place) -> list[dict[str, Any]]:
    return [
        _bind(place.data, DATA),
        _bind(place.sockets, SOCKETS),
        _bind(place.gateway, GATEWAY, read_only=True),
    ]


def _mount(manifest: Manifest, place: Place, volume: Volume) -> dict[str, Any]:
    if volume.named:
        return {
            "Type": "volume",
            "Source": _volume_of(manifest, place, volume),
            "Target": volume.target,
            "ReadOnly": volume.read_only,
            "VolumeOptions": {
                "Labels": {NODE: place.node},
                **({"NoCopy": True} if "nocopy" in volume.options else {}),
            },
        }
    source = f"{place.data}/{volume.source.removeprefix('./')}"
    if volume.source.startswith("/"):
        source = _allowed(manifest.id, volume, place)
    return _bind(source, volume.target, read_only=volume.read_only)


def _old_binds(manifest: Manifest, place: Place) -> list[str]:
    """A project's folders of this machine, in the form of which the engine makes those that are missing."""
    return [
        f"{_allowed(manifest.id, each, place)}:{each.target}:"
        + ",".join(["ro" if each.read_only else "rw", *each.options])
        for each in map(parse_volume, manifest.volumes)
        if _is_old_bind(manifest, each)
    ]


def _is_old_bind(manifest: Manifest, volume: Volume) -> bool:
    """A copy of its repository's is there before, or nothing is to be made for it."""
    return manifest.project is not None and volume.source.startswith("/") and not _COPY.search(volume.source)


def _volume_of(manifest: Manifest, place: Place, volume: Volume) -> str:
    """A project's containers share volumes; `_` where services have `-`, so that no name means two things."""
    if manifest.project is not None:
        return f"atek-{place.node[:8]}_{manifest.project.name}_{volume.source}"
    return place.volumes.get(volume.source) or volume_name(place.node, manifest.id, volume)


def volume_name(node: str, service_id: str, volume: Volume) -> str:
    """A named volume belongs to one service of one node."""
    return f"atek-{node[:8]}-{service_id}-{volume.source}"


def _allowed(service_id: str, volume: Volume, place: Place) -> str:
    folder = volume.source
    copies = place.copies and folder.startswith(f"{place.copies}/")
    if copies and volume.read_only and _COPY.fullmatch(folder, len(place.copies)):
        return folder
    for allowed in (*place.binds, place.data):
        if folder == allowed or folder.startswith(allowed.rstrip("/") + "/"):
            return folder
    raise PermanentFailure(
        "BindForbidden",
        f"{service_id} may not have {folder} of this machine",
        hint="list it (or a folder above it) under binds in [docker] of the node's config.toml",
    )


def _bind(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


def _bindings(manifest: Manifest) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for each in _published(manifest):
        # Without an address the engine has it on all, IPv6 too.
        place = {"HostIp": "" if each.every else each.address, "HostPort": each.host_ports}
        bindings.setdefault(f"{each.container_port}/{each.protocol}", []).append(place)
    return bindings


def _published(manifest: Manifest) -> list[Any]:
    return [parse_published(text) for text in manifest.publish]


def data_folders(service: Service) -> list[str]:
    """Folders below the data folder that have to exist before the container starts."""
    found = [parse_volume(text).source for text in service.manifest.volumes]
    return [source.removeprefix("./") for source in found if source.startswith("./")]
