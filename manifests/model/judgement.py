"""Whether a source's service may run here, and what is declared of it then. Pure.

A service is judged twice: as its record says, before anything is fetched, and again once its package is here
and says which program it is and what it exports. What is declared in the end is narrowed: it has no more
memory than allowed, calls no API that is not allowed, and its runtime, its exports and, for a foreign source,
its sandbox stand in the manifest itself: nobody who changes the package later changes them, and nothing
behind this needs to know where it came from.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from manifests.model.authority import OWN_APIS, OWN_IDS
from manifests.model.containers import DEFAULT_CAPABILITIES, parse_published, parse_volume
from manifests.model.git import is_git, parse_git
from manifests.model.patterns import matches, matches_any
from manifests.model.rights import NEVER, beyond, folders, is_weaker, lies_in
from manifests.model.spec import Probe, Probes, Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manifests.model.manifest import Manifest
    from manifests.model.policy import Patterns, Policy
    from manifests.model.spec import Export

#: What else a manifest may say, now or later, is not for services of other nodes until it is judged here.
_JUDGED = frozenset((
    "id", "runtime", "source", "command", "port", "env", "literal_env", "exports", "allow", "depends_on",
    "probes", "restart", "update", "stop", "replicas", "resources", "sandbox", "suspend", "nodes",
    "image", "pull", "publish", "network", "egress", "volumes", "read_only", "user", "entrypoint",
    "capabilities", "project", "build", "secrets", "binds",
))  # fmt: skip
_SHOWN = 80
#: Seconds: so long the others wait for a service of a foreign source at most, and so seldom it is started and
#: looked at.
_LONGEST_STOP, _FIRST_DELAY, _LAST_DELAY, _PERIOD = 30.0, 0.1, 10.0, 1.0
_MOST_A_MINUTE = 60


def judge(policy: Policy, manifest: Manifest) -> str | None:
    """Why a service is not allowed, in words for a person; None when nothing is known against it.

    Looks only at the manifest; its package may tell more: `judge_package`.
    """
    return next(_violations(policy.whole, manifest), None)


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
    policy = policy.whole
    allow = policy.apis if policy.calls is None else policy.calls
    container = runtime == "docker"
    return manifest.model_copy(
        update={
            "runtime": runtime,
            "exports": tuple(exports),
            "allow": allow if manifest.allow is None else manifest.allow,
            "resources": _within(policy, manifest.resources),
            **(_container(policy, manifest, source) if container else _sandboxed(policy, manifest)),
            **(_calm(manifest) if policy.trust == "foreign" else {}),
        }
    )


def _sandboxed(policy: Policy, manifest: Manifest) -> dict[str, Any]:
    """At least the policy's. A weaker one that a foreign manifest names is asked for, see `rights`."""
    named, least = manifest.sandbox, policy.sandbox
    if least is None or (policy.trust == "foreign" and named is not None):
        return {}
    return {"sandbox": least} if named is None or is_weaker(named, least) else {}


def _container(policy: Policy, manifest: Manifest, source: str) -> dict[str, Any]:
    project = manifest.project
    found: dict[str, Any] = {
        "project": project and project.model_copy(update={"name": f"{source}.{project.name}"})
    }
    if policy.trust == "foreign" and manifest.image is None:
        # What its Dockerfile runs, others wrote.
        found["sandbox"] = "strict"
    if policy.trust != "own":
        # A device that a container leaves in its data folder, a program of this machine can open.
        found["capabilities"] = tuple(each for each in manifest.capabilities if each != "MKNOD")
    return found


def _calm(manifest: Manifest) -> dict[str, Any]:
    """What others wrote keeps nobody waiting for long, and the node not busy with itself."""
    stop, update, restart = manifest.stop, manifest.update, manifest.restart
    return {
        "stop": stop.model_copy(update={"grace_period": min(stop.grace_period, _LONGEST_STOP)}),
        "update": update.model_copy(update={"drain_timeout": min(update.drain_timeout, _LONGEST_STOP)}),
        "restart": restart.model_copy(
            update={
                "initial_delay": max(restart.initial_delay, _FIRST_DELAY),
                "max_delay": max(restart.max_delay, _LAST_DELAY),
                "reset_after": max(restart.reset_after, _LAST_DELAY),
                "per_minute": restart.per_minute and min(restart.per_minute, _MOST_A_MINUTE),
            }
        ),
        "probes": manifest.probes.model_copy(
            update={
                name: probe.model_copy(update={"period_seconds": max(probe.period_seconds, _PERIOD)})
                for name in Probes.model_fields
                if isinstance(probe := getattr(manifest.probes, name), Probe)
            }
        ),
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
    if policy.replicas is not None and manifest.slots > policy.replicas:
        yield f"{manifest.slots} replicas are not allowed, only {policy.replicas}"
    if policy.trust != "own":
        yield from _unjudged(manifest)
        yield from _ways_out(policy, manifest)
    if policy.trust == "foreign":
        yield from _probes(manifest)
        yield from _never(manifest)
    yield from _apis(policy, manifest)
    yield from _rights(policy, manifest)


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
        # Of a foreign source it is a right to be asked for.
        if volume.source.startswith("/") and policy.trust is None:
            yield (
                f"a container of another node may not have this machine's {_shown(volume.source)}; "
                "its data folder and named volumes are its own"
            )
    for port in map(parse_published, manifest.publish):
        if not policy.open_ports and not ip_address(port.address).is_loopback:
            yield (
                f"a container of another node may not be reached at {port.address}:{port.host_ports}; "
                "--open-ports of `atek follow` lets it"
            )
    for capability in manifest.capabilities:
        if capability not in DEFAULT_CAPABILITIES:
            yield f"a container of another node may not have the capability {capability}"
    if manifest.project is not None and "." in manifest.project.name:
        yield f"a project of another node may not be called {_shown(manifest.project.name)}"


def _rights(policy: Policy, manifest: Manifest) -> Iterator[str]:
    """What is beyond the policy, and not to be asked for."""
    if policy.trust == "foreign" and policy.grants == "ask":
        return
    if policy.trust is None and policy.binds is None and manifest.binds:
        yield f"it may not have {_shown(manifest.binds[0])} of this machine"
    # What one's own other machines and earlier follows say of sandboxes is made stricter instead.
    kinds = ("egress:", "bind:", "port:", *(("sandbox:", "api:") if policy.trust == "foreign" else ()))
    for right in beyond(policy, manifest):
        if right.id.startswith(kinds):
            yield f"it may not {right.what}"


def _probes(manifest: Manifest) -> Iterator[str]:
    """Whether a port of this machine answers would be published with the service's status."""
    if manifest.is_container:
        return
    for name in Probes.model_fields:
        probe = getattr(manifest.probes, name)
        handler = isinstance(probe, Probe) and (probe.http_get or probe.tcp_socket)
        if handler and handler.port not in (None, manifest.port):
            yield f"its {name} probe may look at its own port only, and not at {handler.port}"


def _never(manifest: Manifest) -> Iterator[str]:
    for path, _ in folders(manifest):
        if path == "/" or any(lies_in(path, each) for each in NEVER):
            yield f"nobody else's service may have {_shown(path)} of this machine"


def _apis(policy: Policy, manifest: Manifest) -> Iterator[str]:
    for export in manifest.exports or ():
        if not _is_allowed(export.api, policy.apis, OWN_APIS):
            yield f"it may not export {_shown(export.api)}{_only(policy.apis)}"
    calls = policy.apis if policy.calls is None else policy.calls
    for api in manifest.allow or () if policy.trust != "foreign" else ():
        if calls is not None and not matches_any(calls, api):
            yield f"it may not call {_shown(api)}{_only(calls)}"


def _is_allowed(name: str, patterns: Patterns | None, own: str) -> bool:
    """Those of the node's own parts nobody else's service has, unless a pattern says so on purpose."""
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
    """The least of both, of each limit that there is."""
    limits = {
        name: _least(getattr(wanted, name), getattr(policy, name, None)) for name in Resources.model_fields
    }
    return wanted.model_copy(update=limits)


def _least(wanted: Any, allowed: Any) -> Any:
    return min((each for each in (wanted, allowed) if each is not None), default=None)
