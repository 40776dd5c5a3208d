"""`atek user`: who lives here. Passwords are asked for at a terminal, or read from stdin; never words."""

from __future__ import annotations

import getpass
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from reconciler.cli.client import Client
from reconciler.cli.confirm import ask
from reconciler.cli.output import clean, table
from reconciler.cli.welcome import link_lines
from reconciler.errors import UserError
from reconciler.people.model import ROLES, role_word

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: Seconds: a slow machine hashes, and a removed person's services are asked to stop.
_PATIENCE = 60.0


def run(arguments: argparse.Namespace) -> int:
    """Raises UserError for what cannot be."""
    return _COMMANDS[arguments.user_command](Client(arguments.home), arguments)


def _add(client: Client, arguments: argparse.Namespace) -> int:
    given: dict[str, Any] = {"username": arguments.name, "password": password(arguments)}
    if arguments.role is not None:
        given["role"] = ROLES[arguments.role]
    made = client.call("createPerson", within=_PATIENCE, **given)
    print(clean(f"{made['username']} is {_article(made['role'])} of this home"))
    return 0


def _passwd(client: Client, arguments: argparse.Namespace) -> int:
    client.call("changePerson", within=_PATIENCE, username=arguments.name, password=password(arguments))
    print(clean(f"{arguments.name} has a new password, and is signed out everywhere"))
    return 0


def _role(client: Client, arguments: argparse.Namespace) -> int:
    made = client.call("changePerson", username=arguments.name, role=ROLES[arguments.role])
    print(clean(f"{made['username']} is {_article(made['role'])} of this home now"))
    return 0


def _rename(client: Client, arguments: argparse.Namespace) -> int:
    made = client.call("changePerson", username=arguments.name, newName=arguments.to)
    print(clean(f"{arguments.name} is called {made['username']} now, and keeps everything"))
    return 0


def _remove(client: Client, arguments: argparse.Namespace) -> int:
    if not arguments.yes:
        told = f"{arguments.name} is signed out at once; what they installed is stopped and kept."
        ask([clean(told)], "Remove them?", hint="--yes says so for a script")
    stopped = client.call("removePerson", within=_PATIENCE, username=arguments.name)["stopped"]
    print(clean(f"{arguments.name} is removed"))
    if stopped:
        print(clean(f"stopped and kept, for owners to start again: {', '.join(stopped)}"))
    return 0


def _list(client: Client, arguments: argparse.Namespace) -> int:
    people = client.call("people")
    if arguments.json:
        print(json.dumps(people, indent=2))
    elif not people:
        print("nobody has an account: what runs here is open to everybody on this machine")
    else:
        rows = [
            (each["username"], role_word(each["role"]), str(len(each["sessions"])), _seen(each["sessions"]))
            for each in people
        ]
        print("\n".join(table(("NAME", "ROLE", "SESSIONS", "LAST SEEN"), rows)))
    return 0


def _sessions(client: Client, arguments: argparse.Namespace) -> int:
    if arguments.end or arguments.end_all:
        if arguments.name is None:
            raise UserError("whose sessions?", hint="atek user sessions NAME --end ID")
        ended = client.call("endSessions", username=arguments.name, ids=arguments.end)["ended"]
        print(f"{ended} ended")
        return 0
    people = [each for each in client.call("people") if arguments.name in (None, each["username"])]
    if arguments.name is not None and not people:
        raise UserError(f"there is nobody called {arguments.name}", hint="`atek user list` names everybody")
    rows = [
        (person["username"], each["id"], each["device"], _ago(each["created"]), _ago(each["seen"]))
        for person in people
        for each in person["sessions"]
    ]
    if arguments.json:
        print(json.dumps([{"username": each["username"], "sessions": each["sessions"]} for each in people]))
    elif rows:
        print("\n".join(table(("NAME", "ID", "DEVICE", "SINCE", "LAST SEEN"), rows)))
    else:
        print("nobody is signed in")
    return 0


def _link(client: Client, arguments: argparse.Namespace) -> int:
    offered = client.call("offerFirstPerson")
    print("\n".join(link_lines(offered["address"], offered["code"])))
    return 0


def password(arguments: argparse.Namespace) -> str:
    """From a terminal, twice; or the first line of stdin. Raises UserError."""
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UserError("nobody is there to type a password", hint="--password-stdin reads it from stdin")
    typed = getpass.getpass("Password: ")
    if typed != getpass.getpass("Again: "):
        raise UserError("the two passwords are not the same")
    return typed


def _article(role: str) -> str:
    word = role_word(role)
    return f"an {word}" if word[:1] in "aeiou" else f"a {word}"


def _seen(sessions: Sequence[dict[str, Any]]) -> str:
    return _ago(max(each["seen"] for each in sessions)) if sessions else "-"


def _ago(moment: float) -> str:
    """As people say it: how long ago, roughly."""
    seconds = max(0.0, time.time() - moment)
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {name} ago"
    return "now"


_COMMANDS = {
    "add": _add,
    "passwd": _passwd,
    "role": _role,
    "rename": _rename,
    "remove": _remove,
    "list": _list,
    "sessions": _sessions,
    "link": _link,
}
