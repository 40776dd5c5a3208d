"""What a manifest wants of the machine beyond what its source is allowed: rights, in words. Pure.

    egress:api.example.com:443     bind:/srv/photos:ro     port:8080     api:atek.cloud/services-api
    sandbox:private

A right is asked for of the owner (`GrantRequired`, see `reconciler.decide.grants`), unless the policy refuses
what it does not allow. What is never a right stands in `NEVER` and in `judgement`: nobody can grant it.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.model.authority import OWN_APIS
from manifests.model.confined import parse_bind, parse_destination
from manifests.model.containers import parse_published, parse_volume
from manifests.model.patterns import matches_any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.manifest import Manifest
    from manifests.model.policy import Policy

#: From the widest open on.
SANDBOXES = ("none", "private", "strict")
#: Whoever has a folder of these has the machine: its kernel, its devices, the sockets of its engines.
NEVER = ("/proc", "/sys", "/dev", "/run", "/var/run")


@dataclass(frozen=True, slots=True)
class Right:
    """`what`: what the service may then do; `why`: why that matters. Both for people."""

    id: str
    what: str
    why: str


def asked(policy: Policy, manifest: Manifest) -> tuple[Right, ...]:
    """What a service asks the owner for, in a fixed order: the same of a manifest as written and as narrowed.

    Only where the policy has it asked for; elsewhere what is beyond is refused, or cut (`judgement`).
    """
    policy = policy.whole
    return beyond(policy, manifest) if policy.trust == "foreign" and policy.grants == "ask" else ()


def beyond(policy: Policy, manifest: Manifest) -> tuple[Right, ...]:
    """All that a manifest says and a policy, which is a whole one, does not allow."""
    found = {right.id: right for right in _beyond(policy, manifest)}
    return tuple(found[each] for each in sorted(found))


def _beyond(policy: Policy, manifest: Manifest) -> Iterator[Right]:
    yield from _of_sandbox(policy, manifest)
    yield from _of_egress(policy, manifest)
    yield from _of_folders(policy, manifest)
    yield from _of_ports(policy, manifest)
    for api in manifest.allow or ():
        if policy.calls is not None and not matches_any(policy.calls, api):
            yield _api(api)


def _of_sandbox(policy: Policy, manifest: Manifest) -> Iterator[Right]:
    if manifest.is_container or not is_weaker(manifest.sandbox, policy.sandbox):
        return
    if manifest.sandbox == "none":
        why = "it can read and change all that your user can, this node's keys among it"
        yield Right("sandbox:none", "run without a sandbox", why)
    else:
        why = "it can use the whole network and read your files, but for this node's"
        yield Right("sandbox:private", "run in a private sandbox instead of a strict one", why)


def _of_egress(policy: Policy, manifest: Manifest) -> Iterator[Right]:
    if policy.egress is None or policy.egress is True:
        return
    if manifest.egress is True:
        yield Right("egress:*", "reach all other machines", "those of your home too; what it knows can leave")
    allowed = policy.egress or ()
    for text in manifest.destinations:
        if not any(_leads(each, text) for each in allowed):
            to = parse_destination(text)
            why = "what it knows can leave that way"
            yield Right(f"egress:{text}", f"connect to {to.host}, port {to.port}", why)


def _leads(allowed: str, wanted: str) -> bool:
    """Whether a destination that is allowed has the wanted one in it."""
    there, to = parse_destination(allowed), parse_destination(wanted)
    below = there.wildcard and to.host.endswith(there.host[1:])
    return there.port == to.port and (there.host == to.host or below)


def _of_folders(policy: Policy, manifest: Manifest) -> Iterator[Right]:
    if policy.binds is None:
        return
    for path, read_only in folders(manifest):
        if not any(covers(each, path, read_only=read_only) for each in policy.binds):
            what, mode = ("read", "ro") if read_only else ("read and change", "rw")
            why = "also what is below it, whoever put it there"
            yield Right(f"bind:{path}:{mode}", f"{what} {path} of this machine", why)


def _of_ports(policy: Policy, manifest: Manifest) -> Iterator[Right]:
    if policy.ports is None:
        return
    if isinstance(manifest.port, int) and not manifest.is_container and manifest.port not in policy.ports:
        yield _port(str(manifest.port))
    for each in map(parse_published, manifest.publish):
        wanted = range(each.host_port, (each.last_port or each.host_port) + 1)
        if not all(port in policy.ports for port in wanted):
            protocol = "" if each.protocol == "tcp" else f"/{each.protocol}"
            yield _port(f"{each.address}:{each.host_ports or 'any'}{protocol}")


def _port(where: str) -> Right:
    return Right(
        f"port:{where}", f"have the port {where} of this machine", "no other program can have it meanwhile"
    )


def _api(api: str) -> Right:
    what = f"call {api}"
    # No other pattern stands for those (`authority.allows`).
    if api.startswith(OWN_APIS):
        return Right(f"api:{api}", what, "that is this node itself: it can change what runs here")
    return Right(f"api:{api}", what, "it can do with that service whatever its API lets")


def folders(manifest: Manifest) -> Iterator[tuple[str, bool]]:
    """The files and folders of this machine that it wants to see, and whether only for reading."""
    for bind in map(parse_bind, manifest.binds):
        yield posixpath.normpath(f"/{bind.path.lstrip('/')}"), bind.read_only
    for volume in map(parse_volume, manifest.volumes):
        if volume.source.startswith("/"):
            yield posixpath.normpath(f"/{volume.source.lstrip('/')}"), volume.read_only


def covers(allowed: str, path: str, *, read_only: bool) -> bool:
    """Whether what a policy allows (`/srv/photos:ro`) has the path in it."""
    bind = parse_bind(allowed)
    return (read_only or not bind.read_only) and lies_in(path, bind.path)


def lies_in(path: str, folder: str) -> bool:
    """Whether it is the folder, or something below it."""
    return path == folder or path.startswith(f"{folder}/")


def is_weaker(sandbox: str | None, least: str | None) -> bool:
    """Whether a sandbox that a manifest names is wider open than the policy's; none named is not."""
    if sandbox is None or least is None:
        return False
    return SANDBOXES.index(sandbox) < SANDBOXES.index(least)
