"""The commands about other nodes and about this node's records: their options and their help."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.commands import Commands

#: How long `atek push --wait` waits when it is not told, in seconds.
PUSH_WAIT = 120.0


def add_nodes(commands: Commands, seconds: Callable[[str], float]) -> None:
    """All of them; `seconds` reads a time."""
    _add_key(commands)
    _add_follow(commands)
    _add_push(commands, seconds)
    _add_history(commands)
    _add_backup(commands)


def _add_key(commands: Commands) -> None:
    key = commands.add(
        "key",
        "key",
        "show the keys by which other nodes find this one",
        "The link is for `atek follow` on another node. Whoever has it can read this node's records.\n"
        "What SOPS or age encrypts for the recipient, this node can read.",
    )
    form = key.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--link", action="store_true", help="the link alone")
    form.add_argument("--recipient", action="store_true", help="the age recipient alone")


def _add_follow(commands: Commands) -> None:
    follow = commands.add(
        "follow",
        "follow",
        "run services from another node's records, and see its status",
        "Without LINK it lists the nodes that are followed. Given again for the same name, it changes what\n"
        "is allowed. What others wrote (--trust foreign) runs in a strict sandbox: programs for Node and\n"
        "Python, no network, 256Mi each, ten services; what it wants beyond waits for `atek grant`. Limits\n"
        "say otherwise; without any, it asks. Never allowed are services called core.* and APIs called\n"
        "atek.cloud/*. Patterns have * for anything, and want quotes.\n\n"
        "  atek follow 'hyper://4f1c…?noise=9a0e…&at=10.0.0.7:49737' --name laptop --trust own --yes\n"
        "  atek follow 'hyper://…' --name friend --ids 'lab-*' --memory 128Mi --egress api.example.com:443\n"
        "  atek follow 'hyper://…' --name pi --status-only",
    )
    follow.add_argument("link", metavar="LINK", nargs="?", help="what `atek key` shows there, link or key")
    follow.add_argument("--name", metavar="N", help="what to call it here (the beginning of its key)")
    follow.add_argument("--json", action="store_true", help="for programs, with the list")
    follow.add_argument("--yes", action="store_true", help="do not ask, also where nothing is limited")
    follow.add_argument(
        "--trust",
        choices=("own", "foreign"),
        help="own: a machine of yours, whose services run as those of your files do; else they are others'",
    )
    limits = follow.add_argument_group("what its services are allowed")
    limits.add_argument("--runtimes", type=_words, metavar="R,…", help="node, python, process, docker")
    limits.add_argument("--ids", type=_words, metavar="P,…", help="ids, like 'lab-*'")
    limits.add_argument("--apis", type=_words, metavar="P,…", help="APIs that they export or call")
    limits.add_argument("--calls", type=_words, metavar="P,…", help="APIs that they call, unless as --apis")
    limits.add_argument("--sandbox", choices=("none", "private", "strict"), help="the least")
    limits.add_argument(
        "--egress", type=_destinations, metavar="D,…", help="where they connect to, host:port; '*' everywhere"
    )
    limits.add_argument("--binds", type=_words, metavar="P,…", help="folders that they see, /srv/photos:ro")
    limits.add_argument("--ports", type=_numbers, metavar="N,…", help="ports of this machine")
    limits.add_argument("--services", metavar="N", type=int, help="how many it may bring")
    limits.add_argument("--replicas", metavar="N", type=int, help="how many instances of all together")
    limits.add_argument(
        "--grants", choices=("ask", "refuse"), help="what becomes of what they want beyond; ask: `atek grant`"
    )
    limits.add_argument("--memory", metavar="SIZE", help="of one instance, like 256Mi")
    limits.add_argument("--cpu", metavar="CORES", type=_cores, help="of one instance, like 0.5")
    limits.add_argument("--pids", metavar="N", type=int, help="processes of one instance")
    limits.add_argument("--disk", metavar="SIZE", help="of the data folder of one service, like 1Gi")
    limits.add_argument(
        "--open-ports",
        action="store_true",
        help="other machines may reach what its containers publish; else only this one",
    )
    limits.add_argument(
        "--secrets", action="store_true", help="secrets that are encrypted for this node are given to it"
    )
    limits.add_argument("--status-only", action="store_true", help="run nothing of it, only see its status")
    limits.add_argument(
        "--allow-empty",
        action="store_true",
        help="its services go also when its records were lost, not deleted",
    )
    unfollow = commands.add(
        "unfollow", "unfollow", "follow a node no longer", "The services that came from it are stopped."
    )
    unfollow.add_argument("name", metavar="NAME")


def _add_push(commands: Commands, seconds: Callable[[str], float]) -> None:
    push = commands.add(
        "push",
        "push",
        "hand a package on to the nodes that follow this one",
        "PATH is a package's folder, or a manifest file whose source is one. A folder may have a manifest\n"
        "of its own, atek.yaml; without one the service is called like the folder. A Compose file, or a\n"
        "folder with one, is pushed as its services. What lies in .git,\n"
        "node_modules, .venv and the like is left behind. A node that is away gets it once it is back.\n\n"
        "  atek push ./app --to pi --wait",
    )
    push.add_argument("path", metavar="PATH", type=Path)
    push.add_argument(
        "--to", metavar="NODE", help="the one node that runs it; else the manifest's nodes, or all"
    )
    push.add_argument("--id", metavar="ID", help="the service's id")
    push.add_argument(
        "--wait",
        type=seconds,
        nargs="?",
        const=PUSH_WAIT,
        default=None,
        metavar="SECONDS",
        help=f"wait until it is ready there ({PUSH_WAIT:g})",
    )


def _add_history(commands: Commands) -> None:
    history = commands.add(
        "history",
        "history",
        "show who changed which services of the records, and when",
        "About services that came by `atek push` or the services API; those in files have their own history.",
    )
    history.add_argument("id", metavar="ID", nargs="?", help="only this service")
    history.add_argument("--node", metavar="NAME", help="the records of a node that is followed")
    history.add_argument(
        "-n", "--lines", type=version, default=20, metavar="N", help="the last N changes (20)"
    )
    history.add_argument("--json", action="store_true", help="all changes, for programs")
    rollback = commands.add(
        "rollback",
        "rollback",
        "write a service's record as it was at an earlier version",
        "Nothing is lost: going back is a change like any other, and can be taken back. Without ID, all of\n"
        "the records' services become as they were. `atek plan --at VERSION` shows what that would do here.",
    )
    rollback.add_argument("id", metavar="ID", nargs="?")
    rollback.add_argument("--to", metavar="VERSION", type=version, required=True, help="as in `atek history`")


def _add_backup(commands: Commands) -> None:
    backup = commands.add(
        "backup",
        "backup",
        "write what this node is and runs into one file",
        "Its keys, its records, whom it follows, its settings and its manifests; not the packages and not\n"
        "the data of services. Whoever has the file can be this node. Needs the running node.",
    )
    backup.add_argument("file", metavar="FILE", type=Path)
    restore = commands.add(
        "restore",
        "restore",
        "make a node from a backup, in an empty home",
        "The next `atek up` fetches the newest records from the nodes that follow it, before it writes any;\n"
        "only when none is there it takes those of the backup. The old node must not run any more: two with\n"
        "the same keys would contradict each other.",
    )
    restore.add_argument("file", metavar="FILE", type=Path)
    commands.add(
        "repair",
        "repair",
        "let this node write again after its log was forked",
        "A log is forked when the same key wrote in two places, for example after a backup was restored\n"
        "while the old node lived on. What this node has counts from then on; the other must be gone.",
    )


def _words(text: str) -> list[str]:
    """One or more, separated by commas; an empty text is none at all."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _destinations(text: str) -> list[str] | bool:
    """Those that are named; everywhere, or with an empty text nowhere."""
    found = _words(text)
    return True if found == ["*"] else found


def _numbers(text: str) -> list[int]:
    found = _words(text)
    if wrong := [word for word in found if not (word.isdecimal() and len(word) <= 9)]:
        raise argparse.ArgumentTypeError(f"{wrong[0]} is not a number")
    return [int(word) for word in found]


def _cores(text: str) -> float:
    if len(text) <= 15 and text.replace(".", "", 1).isdecimal():
        return float(text)
    raise argparse.ArgumentTypeError(f"{text} is not a number of cores, like 0.5")


def version(text: str) -> int:
    """A version, or another whole number from 1 on."""
    if not text.isdecimal() or len(text) > 15 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)
