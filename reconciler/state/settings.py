"""The node's settings: flags before environment before config file before defaults.

`ATEK_PORT=80`, `ATEK_SOURCES__FILES='["/srv/manifests"]'` in the environment; `port = 80` in config.toml, the
same in Atek's config.json. What this version cannot do yet is refused rather than ignored. Only those who
start a node import this module: pydantic-settings takes its time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableVariable

from manifests.documents.document import BrokenText, Document
from manifests.documents.explain import explain
from manifests.documents.scalars import coerce
from manifests.documents.text import read_documents
from manifests.model.base import Model, Text
from manifests.model.git_source import GitSource
from manifests.model.nodes import Place
from manifests.model.snapshot import Problem
from manifests.model.spec import Duration, Processes, Resources, Size
from manifests.sources.config import CONFIG_FILES
from manifests.sources.listing import read_text
from reconciler.errors import UserError
from reconciler.state import listening
from reconciler.state.mistakes import sentences
from reconciler.state.notify_settings import NotifySettings
from runtimes.users.ranges import UserRange, parse_user_range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic_settings import PydanticBaseSettingsSource

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PREFIX = "ATEK_"
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!:)|(?=:))){4}:[1-9]\d*")
_NO_DHT = (
    'meetingPoint = "HOST:PORT" under [remote] begins a private DHT here, at an address that your devices '
    "reach; bootstrap under [hyper] names nodes of another one; public = true takes the public one"
)


class SettingsError(UserError):
    """Settings that the node cannot start with: one sentence that says where, and a hint."""


class SourceSettings(Model):
    """`files`: more files and folders of manifests, relative ones from the home. `git`: repositories."""

    files: tuple[Text, ...] = ()
    git: tuple[GitSource, ...] = ()

    @field_validator("git")
    @classmethod
    def _have_names_of_their_own(cls, git: tuple[GitSource, ...]) -> tuple[GitSource, ...]:
        names = [source.name for source in git]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two Git sources are called {twice[0]}")
        return git


class RouterSettings(Model):
    """`max_request` bounds the JSON-RPC calls that the gateway reads, in bytes.

    `answer_timeout` is how long a service may take to begin its answer, `hold_timeout` how long requests
    wait for a service that is being switched, in seconds. Only `trusted_proxies` (addresses) are believed
    when they say for whom they ask.
    """

    access_log: bool = False
    max_request: Size = Field(default=4 * 2**20, ge=1024)
    answer_timeout: Duration = Field(default=60.0, gt=0)
    hold_timeout: Duration = Field(default=30.0, ge=0)
    trusted_proxies: tuple[Text, ...] = ()


def _user_range(text: str) -> str:
    parse_user_range(text)
    return text


def _host_and_port(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ValueError("an address is a host and a port, like 10.0.0.7:49737")
    return address


def _empty_or_address(address: str) -> str:
    return _host_and_port(address) if address else address


Address = Annotated[Text, AfterValidator(_host_and_port)]
OptionalAddress = Annotated[Text, AfterValidator(_empty_or_address)]


class PeerSettings(Model):
    """Another node at a fixed address. `key` is its noise key, which it proves when it connects."""

    host: Text = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    key: Text

    @field_validator("key")
    @classmethod
    def _is_key(cls, key: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", key):
            raise ValueError("a noise key has 64 hex digits: `atek key` on that node tells it")
        return key


class HyperSettings(Model):
    """How the Hypercore daemon finds other nodes, and who may find it.

    `bootstrap`: nodes of a private DHT; without any there is none, and no public one ever is by itself.
    `listen`: where peers connect by TCP. `dht`: where this node's part of the DHT is. With `known_peers_only`
    nobody connects but `peers` and those that this node follows.
    """

    bootstrap: tuple[Address, ...] = ()
    listen: OptionalAddress = ""
    dht: OptionalAddress = ""
    peers: tuple[PeerSettings, ...] = ()
    known_peers_only: bool = True


def _address_of_this_machine(address: str) -> str:
    listening.parse(address)
    return address


class TlsSettings(Model):
    """The certificate of whatever other machines reach: one's own files, or one of the node's own authority.

    `cert` (with its chain) and `key` are files in PEM, relative ones from the home; they are read again when
    they change. `authority`: the node makes both by itself, and `atek ca` says how devices come to trust it.
    """

    cert: Text | None = Field(default=None, min_length=1)
    key: Text | None = Field(default=None, min_length=1)
    authority: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> TlsSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key are said together")
        if self.authority and self.cert is not None:
            raise ValueError("authority = true makes its own certificate: leave cert and key out")
        return self

    @property
    def wanted(self) -> bool:
        """Whether there is to be TLS at all."""
        return self.authority or self.cert is not None


class DockerSettings(Model):
    """`binds`: folders of this machine that services in containers may ask for."""

    binds: tuple[Text, ...] = ()


class LimitSettings(Resources):
    """What a service of one's own may have where its manifest says nothing: room for whatever is meant.

    As many processes as systemd gives a unit at least, and as much of a log in ten seconds as is kept of it.
    Memory, cores, open files and disk are as the machine has them.
    """

    pids: Processes | None = 4096
    log_rate: Size | None = 2**20
    restarts_per_minute: int = Field(default=60, ge=1, le=600)

    @property
    def resources(self) -> Resources:
        """Without what is no limit of an instance."""
        return Resources.model_validate(self.model_dump(exclude={"restarts_per_minute"}))


class RemoteSettings(Model):
    """Whether paired devices reach this node from afar, by its key, over a DHT.

    That is the private one of `hyper.bootstrap`, or one that begins here: `meeting_point` is the address, as
    others reach it, where this node's daemon takes part in it for good. `public`: the public one besides.
    """

    enabled: bool = False
    public: bool = False
    meeting_point: OptionalAddress = ""

    @field_validator("meeting_point")
    @classmethod
    def _is_numeric(cls, address: str) -> str:
        if address and not (_IPV4.fullmatch(address) and not address.startswith("0.")):
            raise ValueError("a meeting point is an IPv4 address and a port, as devices reach it")
        return address


def default_name() -> str:
    """The machine's name, as far as it can be a label of a host name."""
    name = re.sub(r"[^a-z0-9]+", "-", os.uname().nodename.split(".")[0].lower())
    return name[:63].strip("-") or "node"


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Text = Field(default_factory=default_name)
    port: int = Field(default=2835, ge=0, le=65535)
    listen: tuple[Annotated[Text, AfterValidator(_address_of_this_machine)], ...] = ()
    tls: TlsSettings = TlsSettings()
    mdns: bool = True
    domain: Text = "localhost"
    labels: tuple[Text, ...] = ()
    keep_services: bool = False
    core_services: tuple[Any, ...] | None = None
    sources: SourceSettings = SourceSettings()
    router: RouterSettings = RouterSettings()
    docker: DockerSettings = DockerSettings()
    hyper: HyperSettings = HyperSettings()
    limits: LimitSettings = LimitSettings()
    sandbox: Literal["none", "private"] = "private"
    users: Annotated[Text, AfterValidator(_user_range)] | None = None
    people: bool = True
    default_main_service: Text | None = None
    remote: RemoteSettings = RemoteSettings()
    notify: tuple[NotifySettings, ...] = ()

    @field_validator("name")
    @classmethod
    def _is_label(cls, name: str) -> str:
        if not _LABEL.fullmatch(name):
            raise ValueError("a node's name has small letters, digits and -, at most 63 characters")
        return name

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [label for label in labels if not _LABEL.fullmatch(label)]:
            raise ValueError(f"{wrong[0]!r} is no label: small letters, digits and -, at most 63 characters")
        return labels

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, domain: str) -> str:
        if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
            raise ValueError("a domain has small letters, digits, - and dots")
        return domain


class _FileValues(_Values):
    """As they are written in the config file."""

    model_config = ConfigDict(alias_generator=to_camel, defer_build=True)


class Settings(_Values, BaseSettings):
    """What a node runs with.

    Port 0 is any free one. `listen`: where else than on loopback, once there are people; there, `mdns` has
    the node answer to `<name>.local`. `core_services` is read by `ConfigSource`; None where the file says
    nothing of it.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="forbid"
    )
    #: What the config file says, while `load_settings` combines it with the rest.
    from_file: ClassVar[ContextVar[Mapping[str, Any]]] = ContextVar("from_file")

    @property
    def user_range(self) -> UserRange | None:
        """Where services' users are taken from; None where they run as the node's own."""
        return parse_user_range(self.users) if self.users is not None else None

    @property
    def place(self) -> Place:
        """Where the node stands when manifests choose among nodes."""
        return Place(self.name, frozenset(self.labels))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, dict(cls.from_file.get({})))


def load_settings(home: Path, flags: Mapping[str, Any]) -> Settings:
    """The settings of the node in this home. `flags`: `port`, `name` …, None where not given.

    Raises SettingsError.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    if any(name.upper().startswith(f"{_PREFIX}CORE_SERVICES") for name in os.environ):
        raise SettingsError(
            "core services cannot come from the environment", hint="write them into config.toml"
        )
    for name in os.environ:
        if name.upper().startswith(_PREFIX) and listening.asks_to_listen(name[len(_PREFIX) :]):
            raise SettingsError(f"{name}: {listening.MESSAGE}", hint=listening.HINT)
    path = _config_file(home)
    document = _read(path) if path else None
    values = _check(document, str(path)) if document else {}
    settings = _combine(given, values)
    if settings.remote.enabled and not _finds_others(settings):
        key = "remote.enabled"
        line = document.line_of(tuple(key.split("."))) if document else None
        where = Problem("nobody could find this node", str(path or ""), line or 0, key)
        raise SettingsError(str(where), hint=_NO_DHT)
    return settings


def _config_file(home: Path) -> Path | None:
    existing = [home / name for name in CONFIG_FILES if (home / name).exists()]
    if len(existing) > 1:
        keep, drop = existing[:2]
        hint = f"move what you need from {drop.name} to {keep.name}, then delete {drop.name}"
        raise SettingsError(f"there are two config files, {keep} and {drop}", hint=hint)
    return existing[0] if existing else None


def _read(path: Path) -> Document | None:
    try:
        text, _ = read_text(str(path))
        documents = read_documents(text, path.suffix, spelled=True)
    except FileNotFoundError:
        return None
    except BrokenText as error:
        raise _error([Problem(error.message, str(path), error.line, error.key, error.hint)]) from error
    return documents[0] if documents else None


def _check(document: Document, file: str) -> dict[str, Any]:
    """The file's values by the names of `Settings`; only those that are written there."""
    values = coerce(document.value, _FileValues)
    if not isinstance(values, dict):
        raise SettingsError(f"{file} has to hold keys and values", hint='{"port": 2835}')
    try:
        return _FileValues.model_validate(values).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems = explain(error, _FileValues, values, file=file, line_of=document.line_of)
        raise _error(listening.explained(problems)) from error


def _combine(flags: Mapping[str, Any], values: Mapping[str, Any]) -> Settings:
    token = Settings.from_file.set(values)
    try:
        return Settings(**flags)
    except UnreadableVariable as error:
        field = re.search(r'field "(\w+)"', str(error))
        name = f"{_PREFIX}{field[1].upper()}" if field else "a variable"
        raise SettingsError(f"{name}: it must be JSON", hint='for example ["one", "two"]') from error
    except ValidationError as error:
        raise _error(list(_outside_the_file(error, flags))) from error
    finally:
        Settings.from_file.reset(token)


def _outside_the_file(error: ValidationError, flags: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with flags and variables, named as a person wrote them."""
    for detail in error.errors():
        path = [str(step) for step in detail["loc"]]
        document: Any = detail["input"]
        for step in reversed(path):
            document = {step: document}
        explained = explain(error, _Values, document, line_of=lambda _: None)
        flag = path[:1] and path[0] in flags
        name = f"--{path[0].replace('_', '-')}" if flag else _PREFIX + "__".join(path).upper()
        yield Problem(explained[0].message, key=name, hint=explained[0].hint)


def _finds_others(settings: Settings) -> bool:
    """Whether there is a DHT that this node is part of."""
    return bool(settings.hyper.bootstrap or settings.remote.meeting_point or settings.remote.public)


def _error(problems: list[Problem] | tuple[Problem, ...]) -> SettingsError:
    message, hint = sentences(problems)
    return SettingsError(message, hint=hint)
