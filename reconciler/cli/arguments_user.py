"""The words of `atek user`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.cli.commands import Commands

_ROLES = ("owner", "member", "guest")


def add_user(commands: Commands) -> None:
    """`add`, `passwd`, `role`, `rename`, `remove`, `list`, `sessions` and `link`."""
    user = commands.add(
        "user",
        "user",
        "say who lives here",
        "A home without people is open to everybody on its machine. The first person ends that: from then\n"
        "on what runs is for those who are signed in. Owners may do everything; members see what they\n"
        "installed and what is for all; guests see only what names them.\n\n"
        "  atek user add alice\n"
        "  pass show home/bob | atek user add bob --password-stdin\n"
        "  atek user sessions alice --end 5f1c2a",
    )
    words = user.add_subparsers(dest="user_command", metavar="COMMAND", required=True)
    add = _named(words, "add", "make a person; the first one owns the home")
    add.add_argument("--role", choices=_ROLES, help="what they may (member; the first one: owner)")
    _add_password(add)
    _add_password(_named(words, "passwd", "give somebody another password, and sign them out"))
    role = _named(words, "role", "change what somebody may")
    role.add_argument("role", choices=_ROLES)
    _named(words, "rename", "call somebody otherwise").add_argument("to", metavar="NEW")
    remove = _named(words, "remove", "remove somebody; what they installed is stopped, and kept")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    listing = _word(words, "list", "who there is")
    sessions = _word(words, "sessions", "where people are signed in")
    sessions.add_argument("name", metavar="NAME", nargs="?")
    sessions.add_argument("--end", metavar="ID", action="append", default=[], help="sign out there")
    sessions.add_argument("--end-all", action="store_true", help="sign out everywhere")
    for each in (listing, sessions):
        each.add_argument("--json", action="store_true", help="for programs")
    _word(words, "link", "a new link that makes the first person in a browser")


def _word(words: Any, command: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = words.add_parser(command, help=summary, allow_abbrev=False)
    # See `Commands.add`.
    parser.add_argument("--home", metavar="H", default=argparse.SUPPRESS, help="the node's folder")
    return parser


def _named(words: Any, command: str, summary: str) -> argparse.ArgumentParser:
    parser = _word(words, command, summary)
    parser.add_argument("name", metavar="NAME")
    return parser


def _add_password(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--password-stdin", action="store_true", help="read it from stdin instead of the terminal"
    )
