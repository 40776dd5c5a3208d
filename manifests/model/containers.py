"""What may stand in a manifest about a container: how its ports, folders and rights are written.

The short forms are those that people know from Docker: `8080:80`, `127.0.0.1:53:53/udp`, `./www:/srv:ro`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from manifests.model.base import DNS_LABEL, MOST_ITEMS, Content, Model, Text, Written, not_a

if TYPE_CHECKING:
    from collections.abc import Iterable

Pull = Literal["always", "ifNotPresent", "never"]
Network = Literal["none", "bridge", "host"]
#: Who chooses the machine: this node's engine, or the engine's swarm.
Placement = Literal["local", "swarm"]

#: Docker's own default; that of a manifest is none.
DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
#: What the node's own labels of containers begin with.
NODE_LABELS = "cloud.atek"
#: A reference by tag or digest, as the engine takes it; the engine itself looks at the details.
_IMAGE = re.compile(r"[a-z0-9]([a-zA-Z0-9._:/-]*[a-zA-Z0-9_])?(@sha256:[0-9a-f]{64})?")
_CAPABILITY = re.compile(r"[A-Z][A-Z_]*")
_PUBLISHED = re.compile(
    r"((?P<address>\[[0-9A-Fa-f:.]+\]|[0-9.]+|\*):)?((?P<first>\d{1,5})(-(?P<last>\d{1,5}))?)?:"
    r"(?P<container_port>\d{1,5})(/(?P<protocol>tcp|udp|sctp))?"
)
#: What may stand after a volume's target, as the engine has it: how it is written to, whether a new volume
#: begins
#: with what the image has there, SELinux's labels, and how mounts below it are passed on.
VOLUME_OPTIONS = frozenset({
    "ro", "rw", "nocopy", "z", "Z", "shared", "rshared", "slave", "rslave", "private", "rprivate",
})  # fmt: skip
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
USER = Written(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_.-]+)?|:[A-Za-z0-9_.-]+",
    "a container's user",
    "one like 1000, node or 1000:1000",
)
_PROJECT = Written(
    rf"({DNS_LABEL.pattern}\.)?{DNS_LABEL.pattern}", "a project's name", "small letters, digits and -"
)
_ALIAS = Written(
    r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}", "a host's name", "letters, digits, . and -, at most 63 of them"
)
_ISOLATION = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Published:
    """A port of this machine that leads to a port of the container. `address` is one of this machine's.

    `host_port` 0: the engine chooses it; up to `last_port`: one of these. `every`: also on all IPv6
    addresses.
    """

    address: str
    host_port: int
    container_port: int
    protocol: str = "tcp"
    last_port: int = 0
    every: bool = False

    @property
    def host_ports(self) -> str:
        """As the engine takes it: `8080`, `8080-8090`, or nothing."""
        if self.last_port:
            return f"{self.host_port}-{self.last_port}"
        return str(self.host_port or "")

    @property
    def is_fixed(self) -> bool:
        """Whether it is one port, whoever asks."""
        return self.host_port > 0 and not self.last_port


@dataclass(frozen=True, slots=True)
class Volume:
    """Something outside of the container at `target`: a named volume, or a folder of this machine.

    `source` is a name, a path that begins with `./` (in the service's data folder), or an absolute path.
    `options` are the engine's own words for more, of `VOLUME_OPTIONS`.
    """

    source: str
    target: str
    read_only: bool = False
    options: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        return not self.source.startswith((".", "/"))


def image_reference(image: str) -> str:
    """Raises ValueError for what no engine takes as an image's name."""
    if len(image) > 512 or not _IMAGE.fullmatch(image):
        raise not_a(image, "an image", "one like nginx:1.27, ghcr.io/owner/app:tag or name@sha256:…")
    return image


def capability(name: str) -> str:
    """`net_bind_service`, `CAP_NET_BIND_SERVICE`: all become `NET_BIND_SERVICE`. Raises ValueError."""
    name = name.upper().removeprefix("CAP_")
    if not _CAPABILITY.fullmatch(name) or name == "ALL":
        raise not_a(name, "a capability", "each by its name, like NET_BIND_SERVICE")
    return name


def labels(found: dict[str, str]) -> dict[str, str]:
    """The labels themselves. Raises ValueError for those that tell the node which containers are its own."""
    for name in found:
        if not name or name.startswith(NODE_LABELS):
            raise ValueError(f"{name!r}: labels that begin with {NODE_LABELS} are the node's own")
    return found


def isolation(name: str) -> str:
    """The name of an OCI runtime that the engine knows. Raises ValueError."""
    if not _ISOLATION.fullmatch(name):
        raise not_a(name, "an OCI runtime", "one that the engine knows, like runsc or kata-fc")
    return name


def published(text: str) -> str:
    """The text itself, once it is known to be right. Raises ValueError."""
    parse_published(text)
    return text


def parse_published(text: str) -> Published:
    """`[address:]port:port[/udp]`; without an address only this machine itself reaches the port.

    `*` is every address, IPv6 too. A range (`8080-8090:80`) or nothing (`127.0.0.1::80`) lets the engine
    choose.
    """
    match = _PUBLISHED.fullmatch(text)
    if match is None:
        raise not_a(text, "a published port", "one like 8080:80, 0.0.0.0:8080:80 or 5353:53/udp")
    container_port, first, last = int(match["container_port"]), match["first"], match["last"]
    wanted = range(int(first), int(last or first) + 1) if first else range(1, 2)
    if not (wanted and wanted[0] >= 1 and wanted[-1] <= 65535 and 1 <= container_port <= 65535):
        raise not_a(text, "a published port", "ports from 1 to 65535")
    every = match["address"] == "*"
    address = "0.0.0.0" if every else str(ip_address((match["address"] or "127.0.0.1").strip("[]")))
    one_of = wanted[-1] if len(wanted) > 1 else 0
    return Published(address, int(first or 0), container_port, match["protocol"] or "tcp", one_of, every)


def as_in_revisions(publish: Iterable[str]) -> list[str]:
    """What is published, for a digest: `*` was written as 0.0.0.0 once, and nothing that runs is another."""
    return [f"0.0.0.0{each[1:]}" if each.startswith("*") else each for each in publish]


def volume(text: str) -> str:
    """The text itself, once it is known to be right. Raises ValueError."""
    parse_volume(text)
    return text


def parse_volume(text: str) -> Volume:
    """`name:/target`, `./folder:/target`, `/folder:/target`, each with `:ro` for reading only.

    After that, or in its place, the engine's own options: `:ro,z`, `:nocopy`.
    """
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    words = mode.split(",") if mode else []
    if not source or not target.startswith("/") or not VOLUME_OPTIONS.issuperset(words):
        raise not_a(text, "a volume", "one like cache:/var/cache, ./www:/srv or ./www:/srv:ro")
    parts = source.split("/")
    if ".." in parts or ".." in target.split("/") or "\0" in text:
        raise not_a(text, "a volume", "its paths without ..")
    if source.startswith("."):
        if parts[0] != ".":
            raise not_a(text, "a volume", "a folder of the service's data folder like ./www:/srv")
    elif not source.startswith("/") and not _VOLUME_NAME.fullmatch(source):
        raise not_a(
            text, "a volume", "a name of letters, digits, _, . and -, or a folder that begins with ./ or /"
        )
    options = tuple(each for each in words if each not in ("ro", "rw"))
    return Volume(source, target, read_only="ro" in words, options=options)


def host_folders(volumes: Iterable[str]) -> set[str]:
    """The folders, and files, of this machine among volumes."""
    return {each.source for each in map(parse_volume, volumes) if each.source.startswith("/")}


def target(path: str) -> str:
    """A place in a container. Raises ValueError for what is none."""
    if not path.startswith("/") or path.endswith("/") or ".." in path.split("/") or ":" in path:
        raise not_a(path, "a place in a container", "a file's whole path, like /run/secrets/password")
    return path


def inside(path: str) -> str:
    """A file of the package. Raises ValueError for what is none."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.startswith("/") or ".." in parts or not path.isprintable():
        raise not_a(path, "a file of the source's folder", "its path in there, like docker/Dockerfile")
    return "/".join(parts)


class Build(Model):
    """How the image of a source is built: by which file, with which values of its ARGs, up to which stage."""

    dockerfile: Annotated[Text, AfterValidator(inside)] = "Dockerfile"
    args: dict[
        Annotated[Text, Written(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an ARG", "one like VERSION")], Content
    ] = Field(default_factory=dict, max_length=MOST_ITEMS)
    target: Annotated[Text, Field(min_length=1)] | None = None


_Seconds = Annotated[float, Field(gt=0, le=1e9)]


class Health(Model):
    """Times of an image's own health check, where they are to be others than the image's."""

    interval: _Seconds | None = None
    timeout: _Seconds | None = None
    start_period: _Seconds | None = None
    retries: Annotated[int, Field(ge=1, le=1000)] | None = None


def in_memory(text: str) -> str:
    """`/run` or `/run:size=64m,mode=1777`. Raises ValueError."""
    path, _, options = text.partition(":")
    if not path.startswith("/") or ".." in path.split("/") or "\0" in text or ":" in options:
        raise ValueError("a tmpfs is written like /run or /run:size=64m")
    return text


def extra_host(text: str) -> str:
    """`name:address`, or `name:host-gateway`. Raises ValueError."""
    name, _, address = text.partition(":")
    if not name or (address != "host-gateway" and not ip_address(address.strip("[]"))):
        raise ValueError("another host is written like printer:192.168.1.9")
    return text


_HostName = Annotated[Text, Field(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$")]


class Engine(Model):
    """What only the engine has to know of a container, as Compose files have it."""

    hostname: _HostName | None = None
    domainname: _HostName | None = None
    init: bool | None = None
    stdin_open: bool = False
    working_dir: Annotated[Text, Field(pattern=r"^/")] | None = None
    shm_size: Annotated[int, Field(ge=1, le=2**50)] | None = None
    tmpfs: tuple[Annotated[Text, AfterValidator(in_memory)], ...] = Field(default=(), max_length=MOST_ITEMS)
    extra_hosts: tuple[Annotated[Text, AfterValidator(extra_host)], ...] = Field(
        default=(), max_length=MOST_ITEMS
    )


class Project(Model):
    """Containers that belong together and run as their images expect it, with Docker's defaults.

    Those of one project share a network, on which they find each other by their `aliases`, and named volumes.
    Who runs inside, and in which home, is the image's affair. Before the dot of a name stands the other node
    that the project comes from.
    """

    name: Annotated[Text, _PROJECT]
    aliases: tuple[Annotated[Text, _ALIAS], ...] = Field(default=(), max_length=MOST_ITEMS)
    health: Health | None = None
    engine: Engine | None = None
