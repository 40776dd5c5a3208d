"""What a follow allows another node's services to be. Pure.

A service is judged twice: as its record says, before anything is fetched, and again once its package is here
and says which program it is and what it exports. What is declared in the end is narrowed: it has no more
memory than allowed, calls no API that is not allowed, and its runtime and its exports stand in the manifest
itself, so that nobody who changes the package later changes them.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from manifests.model.base import MOST_ITEMS, Model, Text
from manifests.model.containers import DEFAULT_CAPABILITIES, parse_published, parse_volume
from manifests.model.git import is_git, parse_git
from manifests.model.patterns import matches, matches_any
from manifests.model.spec import Cores, Export, Processes, Resources, Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manifests.model.manifest import Manifest

#: Ids and APIs of the node's own parts: nobody else's service has them, unless a pattern says so on purpose.
OWN_IDS, OWN_APIS = "core.", "atek.cloud/"

#: What else a manifest may say, now or later, is not for services of other nodes until it is judged here.
_JUDGED = frozenset((
    "id", "runtime", "source", "command", "port", "env", "literal_env", "exports", "allow", "depends_on",
    "probes", "restart", "update", "stop", "replicas", "resources", "sandbox", "suspend", "nodes",
    "image", "pull", "publish", "network", "egress", "volumes", "read_only", "user", "entrypoint",
    "capabilities", "project", "build", "secrets",
))  # fmt: skip
_PATTERN_LENGTH = 255
_SHOWN = 80


def _pattern(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or not 0 < len(text) <= _PATTERN_LENGTH:
        raise ValueError("a pattern is an id or an API, with * for anything, like lab-* or example.com/*")
    if any(character in text for character in "?[]"):
        raise ValueError("* is the only wildcard")
    return text


Patterns = Annotated[tuple[Annotated[Text, AfterValidator(_pattern)], ...], Field(max_length=MOST_ITEMS)]


class Policy(Model):
    """What is left out is not limited; an empty list allows none.

    `ids` and `apis` are patterns. `apis` bound what a service exports as well as what it calls. Limits are
    those of one instance, in bytes, cores and processes. `sandbox` has room for a demand that no version can
    meet yet. `open_ports`: other machines may reach what its containers publish. `secrets`: what
    is encrypted for this node may be decrypted for its services. `status_only`: nothing of the other node's
    is run. `allow_empty`: services go also when all records were lost instead of deleted.
    """

    runtimes: tuple[Literal["node", "python", "docker", "process"], ...] | None = Field(
        default=None, max_length=MOST_ITEMS
    )
    ids: Patterns | None = None
    apis: Patterns | None = None
    memory: Size | None = None
    cpu: Cores | None = None
    pids: Processes | None = None
    sandbox: Literal["none"] = "none"
    open_ports: bool = False
    secrets: bool = False
    status_only: bool = False
    allow_empty: bool = False

    def to_json(self) -> dict[str, Any]:
        """A plain value that `model_validate` reads back; only what is limited stands in it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def judge(policy: Policy, manifest: Manifest) -> str | None:
    """Why a service is not allowed, in words for a person; None when nothing is known against it.

    Looks only at the manifest; its package may tell more: `judge_package`.
    """
    return next(_violations(policy, manifest), None)


def judge_package(policy: Policy, manifest: Manifest, runtime: str, exports: Iterable[Export]) -> str | None:
    """The same, once it is known what the package is and exports."""
    whole = manifest.model_copy(update={"runtime": runtime, "exports": tuple(exports)})
    return judge(policy, whole)


def narrow(
    policy: Policy, manifest: Manifest, runtime: str, exports: Iterable[Export], source: str
) -> Manifest:
    """What is declared of a service that was judged with this runtime and these exports.

    `source` is the follow's name: two nodes' projects of one name have nothing in common.
    """
    more = _container(manifest, source) if runtime == "docker" else {}
    return manifest.model_copy(
        update={
            "runtime": runtime,
            "exports": tuple(exports),
            "allow": policy.apis if manifest.allow is None else manifest.allow,
            "resources": _within(policy, manifest.resources),
            **more,
        }
    )


def _container(manifest: Manifest, source: str) -> dict[str, Any]:
    project = manifest.project
    return {
        "project": project and project.model_copy(update={"name": f"{source}.{project.name}"}),
        # A device that a container leaves in its data folder, a program of this machine can open.
        "capabilities": tuple(each for each in manifest.capabilities if each != "MKNOD"),
    }


def _violations(policy: Policy, manifest: Manifest) -> Iterator[str]:
    if policy.status_only:
        yield "nothing of this node's is run here"
    yield from _source(manifest)
    if not _is_allowed(manifest.id, policy.ids, OWN_IDS):
        yield f"a service of the id {manifest.id} is not allowed{_only(policy.ids)}"
    runtime = manifest.runtime or ("docker" if manifest.image else None)
    if not (policy.runtimes is None or runtime in (None, *policy.runtimes)):
        yield f"the runtime {runtime} is not allowed{_only(policy.runtimes)}"
    yield from _unjudged(manifest)
    yield from _ways_out(policy, manifest)
    yield from _apis(policy, manifest)


def _source(manifest: Manifest) -> Iterator[str]:
    if manifest.source is None or manifest.source.startswith("hyper://"):
        return
    if not is_git(manifest.source):
        yield "a service of another node cannot have a folder of this one as its package"
    elif not parse_git(manifest.source).is_public:
        yield f"a service of another node cannot come from {_shown(manifest.source)}, only by https"
    elif manifest.runtime is None:
        yield "a service of another node that comes from Git has to say its runtime"


def _unjudged(manifest: Manifest) -> Iterator[str]:
    for name, field in type(manifest).model_fields.items():
        if name not in _JUDGED and getattr(manifest, name) != field.get_default(call_default_factory=True):
            yield f"a service of another node may not say {field.alias or name}"


def _ways_out(policy: Policy, manifest: Manifest) -> Iterator[str]:
    """Engines have more rights than the node: a container gets nothing of this machine beyond its own."""
    if not policy.secrets and any(each.file is not None for each in manifest.secrets.values()):
        # A file that is encrypted for this node says nothing of who has put it there.
        yield "nothing is decrypted here for a service of another node; --secrets of `atek follow` lets it"
    if manifest.network == "host":
        yield "a container of another node may not be on this machine's network"
    for volume in map(parse_volume, manifest.volumes):
        if volume.source.startswith("/"):
            yield (
                f"a container of another node may not have this machine's {_shown(volume.source)}; "
                "its data folder and named volumes are its own"
            )
    for port in map(parse_published, manifest.publish):
        if not policy.open_ports and not ip_address(port.address).is_loopback:
            yield (
                f"a container of another node may not be reached at {port.address}:{port.host_port}; "
                "--open-ports of `atek follow` lets it"
            )
    for capability in manifest.capabilities:
        if capability not in DEFAULT_CAPABILITIES:
            yield f"a container of another node may not have the capability {capability}"
    if manifest.project is not None and "." in manifest.project.name:
        yield f"a project of another node may not be called {_shown(manifest.project.name)}"


def _apis(policy: Policy, manifest: Manifest) -> Iterator[str]:
    for export in manifest.exports or ():
        if not _is_allowed(export.api, policy.apis, OWN_APIS):
            yield f"it may not export {_shown(export.api)}{_only(policy.apis)}"
    for api in manifest.allow or ():
        if policy.apis is not None and not matches_any(policy.apis, api):
            yield f"it may not call {_shown(api)}{_only(policy.apis)}"


def _is_allowed(name: str, patterns: Patterns | None, own: str) -> bool:
    if patterns is not None and not matches_any(patterns, name):
        return False
    return not name.startswith(own) or any(
        pattern.startswith(own) and matches(pattern, name) for pattern in patterns or ()
    )


def _only(allowed: Iterable[str] | None) -> str:
    if allowed is None:
        return ""
    return f"; allowed is {', '.join(allowed)}" if allowed else "; none is"


def _shown(api: str) -> str:
    return api if len(api) <= _SHOWN else f"{api[:_SHOWN]}…"


def _within(policy: Policy, wanted: Resources) -> Resources:
    return wanted.model_copy(
        update={
            "memory": _least(wanted.memory, policy.memory),
            "cpu": _least(wanted.cpu, policy.cpu),
            "pids": _least(wanted.pids, policy.pids),
        }
    )


def _least(wanted: Any, allowed: Any) -> Any:
    return min((each for each in (wanted, allowed) if each is not None), default=None)
