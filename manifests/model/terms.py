"""What a policy means, in words: what a person is told before he says yes, and in one line later. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from manifests.model.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manifests.model.policy import Policy

_SANDBOXES = {
    "strict": "in a strict sandbox: no network but its gateway here, nothing of your files",
    "private": "in a private sandbox: your network, your files but for this node's",
    "none": "without a sandbox: with all that your user may",
}


def sentences(policy: Policy) -> Iterator[str]:
    """What its source may, one thing a line."""
    policy = policy.whole
    if policy.status_only:
        yield "nothing of it runs here; only its status is seen"
        return
    yield _whose(policy)
    if policy.sandbox is not None:
        yield f"its programs run {_SANDBOXES[policy.sandbox]}"
    yield f"runtimes: {_all(policy.runtimes)}"
    yield f"ids: {_all(policy.ids, 'all but core.*')}"
    yield f"APIs that it exports: {_all(policy.apis, 'all but atek.cloud/*')}"
    yield f"APIs that it calls: {_all(_calls(policy), 'as the manifest says')}"
    if policy.egress is not None:
        yield f"ways out: {'everywhere' if policy.egress is True else _all(policy.egress or ())}"
    if policy.binds is not None:
        yield f"folders of this machine: {_all(policy.binds)}"
    if policy.ports is not None:
        yield f"ports of this machine: {_all(map(str, policy.ports))}"
    yield from _amounts(policy)
    if policy.secrets or policy.trust == "own":
        yield "secrets that are encrypted for this node are decrypted for it"
    if policy.trust == "foreign":
        asks = "is asked for, and waits for `atek grant`" if policy.grants == "ask" else "is refused"
        yield f"what it wants beyond {asks}"


def line(policy: Policy) -> str:
    """The same, as short as a table needs it: what is said besides whose it is."""
    if policy.status_only:
        return "only its status"
    whose = {"own": ["own"], "foreign": ["foreign"], None: []}[policy.trust]
    words = [*whose, *_said(policy)]
    return "; ".join(words) or "everything"


def _said(policy: Policy) -> Iterator[str]:
    for name in ("runtimes", "ids", "apis", "calls", "egress", "binds", "ports"):
        value = getattr(policy, name)
        if value is not None:
            yield f"{name} {'all' if value is True else ','.join(map(str, value or ())) or 'none'}"
    if policy.sandbox is not None:
        yield f"sandbox {policy.sandbox}"
    for name in ("memory", "cpu", "pids", "open_files", "disk", "log_rate", "services", "replicas"):
        if (value := getattr(policy, name)) is not None:
            yield f"{policy.key_of(name)} {value}"
    if policy.grants is not None:
        yield f"{policy.grants}s for more" if policy.grants == "ask" else "nothing more"
    yield from (
        words
        for words, said in (
            ("secrets", policy.secrets),
            ("open ports", policy.open_ports),
            ("may become empty", policy.allow_empty),
        )
        if said
    )


def _whose(policy: Policy) -> str:
    if policy.trust == "own":
        return "it counts as your own: its services run as those in your own files"
    if policy.trust == "foreign":
        return "it counts as somebody else's"
    return "it runs on the terms of earlier versions; --trust own or --trust foreign says whose it is"


def _calls(policy: Policy) -> Iterable[str] | None:
    return policy.apis if policy.calls is None else policy.calls


def _amounts(policy: Policy) -> Iterator[str]:
    counts = [
        f"{number} {what}"
        for number, what in ((policy.services, "services"), (policy.replicas, "instances in all"))
        if number is not None
    ]
    if counts:
        yield f"at most {', '.join(counts)}"
    limits = [
        *([f"{format_size(policy.memory)} of memory"] if policy.memory else []),
        *([f"{policy.cpu:g} cores"] if policy.cpu else []),
        *([f"{policy.pids} processes"] if policy.pids else []),
        *([f"{policy.open_files} open files"] if policy.open_files else []),
        *([f"{format_size(policy.disk)} of data"] if policy.disk else []),
        *([f"{format_size(policy.log_rate)} of log a second"] if policy.log_rate else []),
    ]
    if limits:
        yield f"each instance at most {', '.join(limits)}"


def _all(found: Iterable[str] | None, unlimited: str = "all") -> str:
    return unlimited if found is None else ", ".join(found) or "none"
