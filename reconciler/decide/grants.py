"""Whether a service may have what it asks of this machine for, and what of it may run meanwhile. Pure.

    manifest ─ beyond its source's policy ─► rights (`manifests.model.rights`) ─ granted? ─► as it is wanted
                                                                                 └─ not all ─► GrantRequired

Grants are a person's (`atek grant`), to a service of one source. While one is missing, what ran before runs
on if it asks for nothing else; where it does (a grant was revoked, the terms are stricter) it is stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from manifests.model.rights import asked, is_weaker
from manifests.model.spec import Resources
from reconciler.decide.conditions import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from manifests.model.manifest import Manifest
    from manifests.model.policy import Policy
    from manifests.model.rights import Right
    from manifests.model.service import Service

#: A condition of sources whose owner has not said yet whose they are.
TRUST_SAID = "TrustSaid"
UNENFORCEABLE = "LimitsUnenforceable"
GRANT_REQUIRED, FORBIDDEN = "GrantRequired", "PolicyForbids"


@dataclass(frozen=True, slots=True)
class Gate:
    """How far a service is let in.

    `problem`: why not as it is wanted. `barred`: revisions of it that must not run at all. `rights`: what it
    asks for, granted or not.
    """

    problem: Verdict | None = None
    barred: frozenset[str] = frozenset()
    rights: tuple[Right, ...] = ()


#: Nothing is asked for, and nothing in the way.
OPEN = Gate()


def gate(
    policy: Policy,
    wanted: Manifest,
    granted: Collection[str],
    known: Iterable[Service],
    source: str,
    too_many: str = "",
    lacking: Sequence[str] = (),
) -> Gate:
    """`granted`: the ids of rights that this source's service has. `known`: what runs of it or would again.

    `too_many`: why it is one more than its source may bring. `lacking`: limits that the terms demand,
    and that nothing on this machine keeps it to.
    """
    rights = asked(policy, wanted)
    missing = [right for right in rights if right.id not in granted]
    problem: Verdict | None = None
    if too_many:
        problem = Verdict(FORBIDDEN, too_many)
    elif lacking:
        problem = _unenforceable(lacking)
    elif missing:
        problem = _required(wanted.id, missing)
    barred = {
        service.revision
        for service in known
        if not (_fits(policy, service.manifest, granted) if service.source == source else problem is None)
    }
    return Gate(problem, frozenset(barred), rights)


def demanded(policy: Policy, manifest: Manifest) -> Resources:
    """The limits that a source's terms demand of a program of this machine; engines keep to their own.

    Follows of earlier versions keep theirs, which a machine kept to as far as it could.
    """
    policy = policy.whole
    if policy.trust is None or manifest.is_container:
        return Resources()
    limits = {name: getattr(policy, name) for name in Resources.model_fields}
    return Resources(**limits)


def _unenforceable(lacking: Sequence[str]) -> Verdict:
    keys = " and ".join(lacking)
    message = f"its terms limit {keys}, which nothing on this machine keeps it to; see `atek doctor`"
    return Verdict(UNENFORCEABLE, message)


def _required(service_id: str, missing: Sequence[Right]) -> Verdict:
    told = "; ".join(f"{right.what} ({right.why})" for right in missing)
    return Verdict(GRANT_REQUIRED, f"it asks to {told}; `atek grant {service_id}` lets it")


def _fits(policy: Policy, manifest: Manifest, granted: Collection[str]) -> bool:
    """Whether what was declared once, maybe on other terms, may run on today's."""
    policy = policy.whole
    if policy.trust != "foreign":
        return True
    if not manifest.is_container and is_weaker(manifest.sandbox or "none", policy.sandbox):
        return f"sandbox:{manifest.sandbox or 'none'}" in granted
    return all(right.id in granted for right in asked(policy, manifest))
