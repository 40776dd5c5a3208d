"""`atek follow`: takes services from another node, within limits, and shows which nodes are followed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hyper.encoding.link import BadLink, Link, parse_link
from manifests.model.policy import Policy
from manifests.model.terms import line, sentences
from reconciler.cli.client import Client
from reconciler.cli.confirm import ask
from reconciler.cli.output import clean, table
from reconciler.errors import UserError

if TYPE_CHECKING:
    import argparse

_HEADER = ("NAME", "NODE", "CONNECTED", "VERSION", "ALLOWED")
_HINT = "--yes says so for a script; --trust and limits make other terms, see `atek follow --help`"
#: The beginning of a key is a name until a person gives a better one.
_NAME_LENGTH = 8
_LIMITS = (
    "runtimes", "ids", "apis", "calls", "sandbox", "egress", "binds", "ports", "memory", "cpu", "pids",
    "disk", "services", "replicas", "grants",
)  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError for what is no link, and for limits that mean nothing."""
    client = Client(arguments.home)
    limits = _policy(arguments)
    policy = {**({"trust": arguments.trust} if arguments.trust else {}), **limits}
    if arguments.link is None:
        if policy or arguments.name:
            raise UserError(
                "limits and a name are for a LINK", hint="write it too, or its key: `atek follow KEY …`"
            )
        return _list(client, arguments)
    link = _link(arguments.link)
    name = arguments.name or link.key[:_NAME_LENGTH]
    told = [] if limits else _terms(client, name, policy)
    if told and not arguments.yes:
        ask([f"What {name} may do here:", *told], "Follow it on these terms?", hint=_HINT)
        told = []
    done = client.call("follow", name=name, key=link.key, noise=link.noise, at=link.at, policy=policy)
    print(f"{name} is followed as before, with these limits" if done["changed"] else f"{name} is followed")
    for sentence in told:
        print(sentence)
    return 0


def _terms(client: Client, name: str, policy: dict[str, Any]) -> list[str]:
    """What is granted where nothing is limited, in words."""
    known = {follow["name"]: follow["policy"] for follow in client.call("follows")}
    trust = policy.get("trust") or (known[name].get("trust") if name in known else "foreign")
    terms = Policy.model_validate({**policy, "trust": trust})
    return [clean(f"  - {sentence}") for sentence in sentences(terms)]


def _link(text: str) -> Link:
    try:
        return parse_link(text)
    except BadLink as error:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        hint = "copy all of what `atek key` shows on that node, and put it in quotes"
        raise UserError(f"{shown} cannot be followed: {error}", hint=hint) from error


def _policy(arguments: argparse.Namespace) -> dict[str, Any]:
    """As it is written down; what is not limited is left out."""
    policy = {name: value for name in _LIMITS if (value := getattr(arguments, name)) is not None}
    flags = {
        "openPorts": arguments.open_ports,
        "secrets": arguments.secrets,
        "statusOnly": arguments.status_only,
        "allowEmpty": arguments.allow_empty,
    }
    return policy | {name: True for name, given in flags.items() if given}


def _list(client: Client, arguments: argparse.Namespace) -> int:
    follows = client.call("follows")
    if arguments.json:
        print(json.dumps(follows, indent=2))
    elif not follows:
        print("no node is followed yet: `atek follow LINK` does; `atek key` on that node shows its link")
    else:
        for line in table(_HEADER, [_row(follow) for follow in follows]):
            print(line)
    return 0


def _row(follow: dict[str, Any]) -> tuple[str, ...]:
    return (
        follow["name"],
        follow["node"] or "?",
        "yes" if follow["connected"] else "no",
        _version(follow),
        allowed(follow["policy"]),
    )


def _version(follow: dict[str, Any]) -> str:
    if not follow["synced"]:
        return "never seen"
    behind = f" (+{follow['behind']})" if follow["behind"] else ""
    return f"{follow['version']}{behind}"


def allowed(policy: dict[str, Any]) -> str:
    """A policy in one line."""
    return clean(line(Policy.model_validate(policy)))
