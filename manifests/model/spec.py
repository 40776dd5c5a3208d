"""What may stand in a manifest: every key of a service, each right by itself.

Keys are camelCase in files and snake_case here. Names and defaults of probes are Kubernetes'. Values are
frozen; durations are seconds, sizes are bytes. What has to be right as a whole is in `validation`.
"""

from __future__ import annotations

import re
import signal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from manifests.model import confined, containers
from manifests.model.auto_update import AutoUpdate
from manifests.model.base import DNS_LABEL, MOST_ITEMS, Content, Count, Model, Text, Written, not_a
from manifests.model.git import is_git, parse_git
from manifests.model.lan import Lan
from manifests.model.node_names import Label, NodeName
from manifests.model.people import Access, SignIn
from manifests.model.quantities import LONGEST, parse_duration, parse_size
from manifests.model.semver import parse_range

Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str)]
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str)]
#: Seconds until something begins.
Seconds = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
#: Seconds between two looks, or that one may take.
Patience = Annotated[float, Field(ge=0.001, le=LONGEST, allow_inf_nan=False)]
#: Cores; an engine counts them in billionths, and takes less than this for no limit at all.
Cores = Annotated[float, Field(ge=0.001, le=4096, allow_inf_nan=False)]
#: As many as Linux can have (PID_MAX_LIMIT).
Processes = Annotated[int, Field(ge=1, le=4_194_304)]
#: Below it no interpreter starts; above it no kernel goes without being told to (fs.nr_open).
OpenFiles = Annotated[int, Field(ge=16, le=1_048_576)]
RuntimeName = Literal["node", "python", "process", "docker"]

# Atek's own core services have dotted names ("core.hyper").
_SERVICE_ID = re.compile(rf"{DNS_LABEL.pattern}(\.{DNS_LABEL.pattern})*")
# What programs take for one: Elasticsearch reads `discovery.type`, and Compose takes `1A`.
_REAL_TIME = re.compile(r"(SIGRTMIN|SIGRTMAX)([+-]\d{1,2})")
#: A user, a group, or both, by name or number.
_ENV_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_API_ID = re.compile(r"[\x21-\x7e]{1,255}")
# What may be sent as the path of a request: printable ASCII, without a fragment.
_REQUEST_TARGET = re.compile(r"/[\x21\x24-\x7e]*")

#: Keys that say something about a container, and nothing about a process.
CONTAINER_KEYS = (
    "image", "pull", "publish", "network", "egress", "capabilities", "isolation", "volumes", "read_only",
    "user", "entrypoint", "labels", "project", "build",
)  # fmt: skip


def _range(version: str) -> str:
    parse_range(version)
    return version


def _api_id(api: str) -> str:
    if not _API_ID.fullmatch(api):
        raise not_a(api, "an API's id", "at most 255 ASCII characters without spaces, like example.com/notes")
    return api


def _env_name(name: str) -> str:
    if not _ENV_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name for an environment variable")
    if name.startswith("ATEK_"):
        raise ValueError("names that begin with ATEK_ are the node's own")
    return name


class HttpGet(Model):
    """GET on the service's own endpoint (or another port of it); 200–399 is success."""

    path: Text = "/"
    port: int | None = Field(default=None, ge=1, le=65535)

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if not path.startswith("/") or any(character <= " " for character in path):
            raise not_a(path, "a path", "one that starts with / and has no spaces, like /health")
        return path


class TcpSocket(Model):
    """A connection that is accepted is success."""

    port: int | None = Field(default=None, ge=1, le=65535)


class Exec(Model):
    """A command run with the service's environment; exit status 0 is success."""

    command: tuple[Content, ...] = Field(min_length=1, max_length=MOST_ITEMS)


class Probe(Model):
    """One check, with Kubernetes' names and defaults. Times are whole or fractional seconds."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: Exec | None = None
    initial_delay_seconds: Seconds = 0
    period_seconds: Patience = 10
    timeout_seconds: Patience = 1
    success_threshold: Count = 1
    failure_threshold: Count = 3

    @field_validator("http_get", mode="before", json_schema_input_type=HttpGet | str | None)
    @classmethod
    def _bare_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_handler(self) -> Probe:
        if sum(handler is not None for handler in (self.http_get, self.tcp_socket, self.exec)) != 1:
            raise ValueError("a probe has exactly one of httpGet, tcpSocket, exec")
        return self


class Probes(Model):
    """Without a readiness probe a service is ready once its endpoint accepts a connection.

    `readiness: none` is for programs that listen nowhere: ready once they have stayed up for a second.
    """

    startup: Probe | None = None
    readiness: Probe | Literal["none"] | None = None
    liveness: Probe | None = None


class Export(Model):
    """An API that the service offers at `path` of its endpoint.

    `rpc` is JSON-RPC by POST; `proxy` is a WebSocket. A bare string is the API's id.
    """

    api: Text
    path: Text = "/"
    transport: Literal["rpc", "proxy"] = "rpc"

    @field_validator("api")
    @classmethod
    def _is_api(cls, api: str) -> str:
        return _api_id(api)

    @field_validator("path")
    @classmethod
    def _is_target(cls, path: str) -> str:
        if not _REQUEST_TARGET.fullmatch(path):
            raise not_a(path, "a path", "one that starts with / and has no spaces, like /health")
        return path


class Dependency(Model):
    """Another service that has to be `started`, `ready` or `completed` (with success) before this starts."""

    id: Text
    condition: Literal["started", "ready", "completed"] = "ready"


class Restart(Model):
    """When an exited instance is replaced, and how the wait between attempts grows.

    `per_minute` bounds the replacements of each slot, whatever the wait is; the node's own bound otherwise.
    """

    policy: Literal["always", "onFailure", "never"] = "always"
    initial_delay: Duration = 0.1
    max_delay: Duration = 60.0
    reset_after: Duration = 60.0
    per_minute: Annotated[int, Field(ge=1, le=600)] | None = None


class Update(Model):
    """How a new revision takes over from an old one.

    Requests in flight have `drain_timeout` to finish before their instance is asked to stop. `on_failure`:
    what becomes of a service that has kept something, when a revision that ran is given up.
    """

    strategy: Literal["rolling", "recreate"] | None = None
    healthy_deadline: Duration = 60.0
    drain_timeout: Duration = 30.0
    on_failure: Literal["back", "ask"] = "back"


def signal_number(name: str) -> int:
    """The number of a signal, `SIGTERM` or `SIGRTMIN+3`. Raises ValueError for what is none."""
    if found := signal.Signals.__members__.get(name):
        return found
    if match := _REAL_TIME.fullmatch(name):
        number = signal.Signals[match[1]] + int(match[2])
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    raise not_a(name, "a signal of this system", "for example SIGTERM or SIGINT")


class Stop(Model):
    """The signal that asks, and the time after which SIGKILL insists."""

    signal: Text = "SIGTERM"
    grace_period: Duration = 10.0

    @field_validator("signal")
    @classmethod
    def _known_signal(cls, name: str) -> str:
        name = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
        signal_number(name)
        return name


class Resources(Model):
    """Upper limits for all processes of one instance: bytes, cores, number of processes.

    `open_files` is one process's. `disk` (bytes) is the service's data folder's, and `log_rate` (bytes a
    second) its log's, whatever instances it has; they hold for what runs as soon as they are said.
    """

    memory: Size | None = None
    cpu: Cores | None = None
    pids: Processes | None = None
    open_files: OpenFiles | None = None
    disk: Size | None = None
    log_rate: Size | None = None

    def given_to_instances(self) -> dict[str, Any]:
        """What an instance is started with; only what is set of the keys that were not always there."""
        newer = {"open_files": self.open_files} if self.open_files is not None else {}
        return {"memory": self.memory, "cpu": self.cpu, "pids": self.pids, **newer}

    def within(self, defaults: Resources) -> Resources:
        """With these defaults for what is not said."""
        missing = {name: value for name, value in defaults if getattr(self, name) is None}
        return self.model_copy(update=missing) if any(missing.values()) else self


class Secret(Model):
    """One value, or a whole file, that only the service is to know. See `Spec.secrets`.

    It is read from `file` (beside the manifest, or in the package of a record): the value at `key`, a dotted
    path, or all of it. `text` has `${key}` for values of that file and `$$` for a dollar; without a file it
    is the whole content.
    """

    file: Text | None = None
    key: Text | None = Field(default=None, min_length=1)
    text: Content | None = None
    as_: Literal["env", "file"] = Field(default="env", alias="as")
    target: Annotated[Text, AfterValidator(containers.target)] | None = None
    mode: Annotated[Text, Written(r"0?[0-7]{3}", "a file's mode", "three octal digits, like 0400")] | None = (
        None
    )
    uid: int | None = Field(default=None, ge=0, le=2**32 - 2)
    gid: int | None = Field(default=None, ge=0, le=2**32 - 2)

    @model_validator(mode="after")
    def _one_content(self) -> Secret:
        if self.file is None and self.text is None:
            raise ValueError("a secret needs a file that it is in")
        if self.key is not None and (self.text is not None or self.file is None):
            raise ValueError("key names a value of a file; a text has ${key} instead")
        if self.as_ == "env" and self.model_fields_set & {"target", "mode", "uid", "gid"}:
            raise ValueError("target, mode, uid and gid are for files; write as: file")
        return self


def _bare_api(value: object) -> object:
    return {"api": value} if isinstance(value, str) else value


class Spec(Model):
    """One service. See the package's docstring for the path from here to a running program.

    `env` may refer to the node's own variables, unless `literal_env` says that its dollars mean nothing.
    `version` is a range of the releases of a package from Git, `auto_update` takes newer ones in it.
    `exports` left out: what the package's atek.json says. `allow`: the APIs that the service may call,
    see `authority`. `cross_site`: whether pages of other sites may have it do something. `access` and
    `sign_in`: for which people it is, and how it hears of them. `lan`: its own port of the node's. `nodes`
    left out: every node runs it. The keys from `image` on are for the docker runtime: `isolation` is another
    OCI runtime of the engine, `read_only` the root file system. `egress` is the way out to other machines:
    all of it for a container, or destinations for a program in a strict sandbox, which `binds` lets see
    folders of this machine. `sandbox` left out: as far as this machine can keep the owner's own programs
    apart. `placement`: who chooses the machine of a container; with `swarm`, `nodes` are machines of the
    swarm.
    """

    id: Text
    runtime: RuntimeName | None = None
    source: Text | None = None
    run: Literal["copy", "inPlace"] = "copy"
    version: Annotated[Text, AfterValidator(_range)] | None = None
    auto_update: AutoUpdate | None = None
    command: tuple[Content, ...] | None = Field(default=None, min_length=1, max_length=MOST_ITEMS)
    port: Annotated[int, Field(ge=1, le=65535)] | Literal["auto"] | None = None
    env: dict[Annotated[Text, AfterValidator(_env_name)], Content] = Field(
        default_factory=dict, max_length=MOST_ITEMS
    )
    literal_env: bool = False
    secrets: dict[Annotated[Text, AfterValidator(_env_name)], Secret] = Field(
        default_factory=dict, max_length=MOST_ITEMS
    )
    exports: (
        tuple[Annotated[Export, BeforeValidator(_bare_api, json_schema_input_type=Export | str)], ...] | None
    ) = Field(default=None, max_length=MOST_ITEMS)
    allow: tuple[Annotated[Text, AfterValidator(_api_id)], ...] | None = Field(
        default=None, max_length=MOST_ITEMS
    )
    cross_site: Literal["refuse", "allow"] = "refuse"
    access: Access | None = None
    sign_in: SignIn | None = None
    lan: Lan | None = None
    depends_on: tuple[Dependency, ...] = Field(default=(), max_length=MOST_ITEMS)
    probes: Probes = Probes()
    restart: Restart = Restart()
    update: Update = Update()
    stop: Stop = Stop()
    replicas: int = Field(default=1, ge=0, le=100)
    resources: Resources = Resources()
    run_as: (
        Annotated[Text, Written(r"[a-z_][a-z0-9_.-]{0,31}", "the name of a user", "one like postgres")] | None
    ) = None
    sandbox: Literal["none", "private", "strict"] | None = None
    binds: confined.Binds = ()
    suspend: bool = False
    nodes: tuple[NodeName | Label, ...] | None = Field(default=None, min_length=1, max_length=MOST_ITEMS)
    image: Annotated[Text, AfterValidator(containers.image_reference)] | None = None
    pull: containers.Pull = "ifNotPresent"
    publish: tuple[Annotated[Text, AfterValidator(containers.published)], ...] = Field(
        default=(), max_length=MOST_ITEMS
    )
    network: containers.Network = "bridge"
    egress: bool | confined.Destinations = False
    capabilities: tuple[Annotated[Text, AfterValidator(containers.capability)], ...] = Field(
        default=(), max_length=MOST_ITEMS
    )
    isolation: Annotated[Text, AfterValidator(containers.isolation)] | None = None
    volumes: tuple[Annotated[Text, AfterValidator(containers.volume)], ...] = Field(
        default=(), max_length=MOST_ITEMS
    )
    read_only: bool = True
    placement: containers.Placement = "local"
    user: Annotated[Text, containers.USER] | None = None
    entrypoint: tuple[Content, ...] | None = Field(default=None, max_length=MOST_ITEMS)
    labels: Annotated[dict[Text, Content], AfterValidator(containers.labels)] = Field(
        default_factory=dict, max_length=MOST_ITEMS
    )
    project: containers.Project | None = None
    build: containers.Build | None = None

    @field_validator("id")
    @classmethod
    def _service_id(cls, value: str) -> str:
        if len(value) > 63 or not _SERVICE_ID.fullmatch(value):
            raise not_a(value, "an id", "small letters, digits and -, at most 63 of them, like my-notes")
        return value

    @field_validator("source")
    @classmethod
    def _repository(cls, source: str | None) -> str | None:
        if source is not None and is_git(source):
            parse_git(source)
        return source

    @property
    def is_container(self) -> bool:
        """Whether the manifest itself says that it is run by the docker runtime."""
        return self.runtime == "docker" or self.image is not None or self.build is not None

    @property
    def slots(self) -> int:
        """How many instances the node keeps. All tasks of a swarm's service are one: the swarm keeps them."""
        return min(self.replicas, 1) if self.placement == "swarm" else self.replicas

    @property
    def container_key(self) -> str | None:
        """A key of this manifest that means something for containers only."""
        keys = (key for key in CONTAINER_KEYS if key in self.model_fields_set)
        return next((key for key in keys if key != "egress" or not self.destinations), None)

    @property
    def destinations(self) -> tuple[str, ...]:
        """Where a program in a strict sandbox may connect to, `host:port` each."""
        return () if isinstance(self.egress, bool) else self.egress

    @property
    def exclusive_port(self) -> int | None:
        """A port of this machine, of which there is only one; those of a container's own address are not."""
        if published := [each for each in map(containers.parse_published, self.publish) if each.is_fixed]:
            return published[0].host_port
        own_address = self.is_container and self.network != "host"
        return self.port if isinstance(self.port, int) and not own_address else None

    @property
    def strategy(self) -> Literal["rolling", "recreate"]:
        """rolling, unless the author said otherwise or a fixed port leaves no room for two revisions."""
        return self.update.strategy or ("recreate" if self.exclusive_port else "rolling")
