"""Words on the command line into values: every command, its options and its help."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.arguments_nodes import add_nodes, version
from reconciler.cli.arguments_remote import add_remote
from reconciler.cli.arguments_secret import add_secret
from reconciler.cli.arguments_user import add_user
from reconciler.cli.commands import Commands

if TYPE_CHECKING:
    from collections.abc import Sequence

_ABOUT = """\
Keeps the programs of your home cloud running, as your manifests say.
"""

_EXAMPLES = """\
examples:
  atek up                      run a node in this terminal; Ctrl-C ends it and its services
  atek up ./services           the same, with a folder of manifests of your own
  atek apply notes.yaml        add a service, or change it
  atek status                  what runs, and why something does not
  atek status notes --watch    look on while it changes
  atek logs notes -f           what a service prints
  atek plan                    what would change, without changing it
  atek call example.com/notes list   call an API that a service exports
  atek push ./app --to pi      run a package on another node
  atek doctor                  whether this machine has what it takes

Every command takes --home, the folder of one node: $ATEK_HOME, or ~/.atek when left out.
`atek COMMAND --help` tells more about each.
"""


#: How long `atek sync --wait` waits when it is not told, in seconds.
SYNC_WAIT = 120.0


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's arguments, with `module` (which runs it) and `home` (a Path). Exits 2 on wrong usage."""
    arguments = _parser().parse_args(argv)
    home = arguments.home or os.environ.get("ATEK_HOME") or "~/.atek"
    arguments.home = Path(os.path.abspath(os.path.expanduser(home)))
    return arguments


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: package metadata is slow to read."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"atek {version('atek')}")
        parser.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="atek",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version and exit")
    parser.add_argument("--home", metavar="H", help="the node's folder ($ATEK_HOME, or ~/.atek)")
    commands = Commands(parser)
    _add_node(commands)
    _add_looking(commands)
    _add_changing(commands)
    _add_sync(commands)
    _add_calling(commands)
    _add_notify(commands)
    _add_ca(commands)
    _add_schema(commands)
    add_user(commands)
    add_secret(commands)
    add_nodes(commands, _seconds)
    add_remote(commands, _port)
    return parser


def _add_node(commands: Commands) -> None:
    up = commands.add(
        "up",
        "up",
        "run the node in the foreground",
        "Ctrl-C stops the services in good order and ends; pressed again, it ends them at once.",
    )
    up.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="more manifest files or folders")
    up.add_argument("--port", type=_port, metavar="N", help="the port to listen on (2835)")
    commands.add("down", "down", "stop the running node and its services")
    commands.add(
        "doctor",
        "doctor",
        "check this machine and say how to mend it",
        "Exits 1 when something necessary is missing.",
    )


def _add_looking(commands: Commands) -> None:
    plan = commands.add(
        "plan",
        "plan",
        "show what would change, as a diff; changes nothing",
        "Needs no running node, except with --at.\n"
        "Exits 0 when nothing would change, 2 when something would, 1 on an error.",
    )
    plan.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="more manifest files or folders")
    plan.add_argument("--at", metavar="VERSION", type=version, help="with the records as of that version")
    plan.add_argument(
        "--node", metavar="NAME", help="it is a version of that node's records, not of this one's"
    )
    _add_git(plan)
    diff = commands.add(
        "diff",
        "plan",
        "show what a commit or a branch of a Git source would change here",
        "Fetches it, and changes nothing. Like `atek plan --git`, but only what concerns that source.\n"
        "Exits 0 when nothing would change, 2 when something would, 1 when it would not be applied.",
    )
    diff.set_defaults(paths=[], at=None, node=None)
    _add_git(diff, required=True)
    status = commands.add("status", "status", "show the services, and why one is not ready")
    status.add_argument("id", metavar="ID", nargs="?", help="only this service")
    status.add_argument("--node", metavar="NAME", help="what a node that is followed told of itself last")
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument("--watch", action="store_true", help="go on showing until Ctrl-C")
    logs = commands.add("logs", "logs", "show what a service prints", "Works without a running node too.")
    logs.add_argument("id", metavar="ID")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument("-n", "--lines", type=_count, default=100, metavar="N", help="the last N lines (100)")
    logs.add_argument("--prepare", action="store_true", help="the log of its last install and build instead")
    events = commands.add("events", "events", "show what the node did and noticed")
    events.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    events.add_argument("-n", "--lines", type=_count, default=200, metavar="N", help="the last N (200)")


def _add_git(command: argparse.ArgumentParser, *, required: bool = False) -> None:
    command.add_argument(
        "--git",
        metavar="NAME[@REF]",
        required=required,
        help="with that commit, branch or tag of the Git source NAME; without REF, what its ref is now",
    )
    command.add_argument("--json", action="store_true", help="for programs")


def _add_changing(commands: Commands) -> None:
    apply = commands.add(
        "apply",
        "apply",
        "add services, or change them",
        "Copies each manifest into the node's own folder, also while no node runs.\n"
        "If one of them is broken, nothing is changed.",
    )
    apply.add_argument("path", metavar="PATH", help="a manifest file, a folder of them, or - for stdin")
    apply.add_argument(
        "--wait", type=_seconds, default=None, metavar="SECONDS", help="wait until all of them are ready"
    )
    delete = commands.add("delete", "delete", "remove a service that was added with `atek apply`")
    delete.add_argument("id", metavar="ID")
    update = commands.add(
        "update",
        "update",
        "show which services could be newer, or take the newest release of one",
        "A release that does not become ready is given back, unless the service keeps data: then it stays,\n"
        "and `atek status ID` says how to go back. Without ID nobody's server is asked.",
    )
    update.add_argument("id", metavar="ID", nargs="?")
    update.add_argument("--json", action="store_true", help="for programs")
    adopt = commands.add(
        "adopt",
        "adopt",
        "let a service have the data of an earlier one of another owner",
        "A service of another node does not get what this node's own left under the same id, nor the other\n"
        "way round (`DataOwned`): its program may be anybody's. This hands the folder over for good.",
    )
    adopt.add_argument("id", metavar="ID")
    _add_grants(commands)
    _add_order(commands, "stop", "stop a service until it is started again")
    _add_order(commands, "start", "start a stopped service, or try a failed one again")
    _add_order(commands, "restart", "replace a service's running instances")


def _add_grants(commands: Commands) -> None:
    grant = commands.add(
        "grant",
        "grant",
        "let a service that others wrote have what it asks this machine for",
        "Without ID it lists what is asked for and what is granted. Without RIGHT it is all that the\n"
        "service asks for, after it was shown. What is granted holds for that service of that source, until\n"
        "it asks for something else or `atek revoke` takes it back.\n\n"
        "  atek grant\n"
        "  atek grant notes egress:api.example.com:443",
    )
    grant.add_argument("id", metavar="ID", nargs="?")
    grant.add_argument("rights", metavar="RIGHT", nargs="*", help="like bind:/srv/photos:ro")
    grant.add_argument("--yes", action="store_true", help="do not ask")
    grant.add_argument("--json", action="store_true", help="for programs, with the list")
    revoke = commands.add(
        "revoke", "grant", "take back what was granted to a service", "What needs it is stopped."
    )
    revoke.add_argument("id", metavar="ID")
    revoke.add_argument("rights", metavar="RIGHT", nargs="*", help="all of them when left out")


def _add_order(commands: Commands, name: str, summary: str) -> None:
    order = commands.add(name, "order", summary)
    order.add_argument("id", metavar="ID")
    waiting = order.add_mutually_exclusive_group()
    waiting.add_argument(
        "--wait",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for it (30)",
    )
    waiting.add_argument(
        "--no-wait", dest="wait", action="store_const", const=0.0, help="return once it is asked for"
    )


def _add_calling(commands: Commands) -> None:
    call = commands.add(
        "call",
        "call",
        "call a method of an API, as an administrator",
        "Prints the result as JSON. PARAMS is the list of the method's params; a value that is no list is\n"
        "the only one.\n\n"
        "  atek call atek.cloud/services-api list\n"
        "  atek call atek.cloud/services-api get '\"notes\"'\n"
        '  atek call atek.cloud/services-api configure \'["notes", {"config": {"theme": "dark"}}]\'',
    )
    call.add_argument("api", metavar="API", help="an id like atek.cloud/services-api")
    call.add_argument("method", metavar="METHOD")
    call.add_argument("params", metavar="PARAMS", nargs="?", type=_json, default=[], help="JSON ([])")
    token = commands.add(
        "token",
        "token",
        "print an administrator's bearer token, for scripts",
        "Whoever has it may do everything with this node.",
    )
    token.add_argument(
        "--read-only",
        action="store_true",
        help="one that is only good for /metrics and /readyz, for monitoring",
    )


def _add_ca(commands: Commands) -> None:
    ca = commands.add(
        "ca",
        "ca",
        "show how devices come to trust the node's own certificates",
        "Where they fetch the certificate of its authority, and by which fingerprint they know it.\n\n"
        "  atek ca --pem > pi.crt",
    )
    ca.add_argument("--pem", action="store_true", help="print the certificate itself")
    ca.add_argument("--json", action="store_true", help="for programs")


def _add_sync(commands: Commands) -> None:
    sync = commands.add(
        "sync",
        "sync",
        "look at the Git sources now, and try again what was not applied",
        "Without NAME, at all of them. Exit status 1 where a commit could not be had or was not applied.",
    )
    sync.add_argument("name", metavar="NAME", nargs="?")
    sync.add_argument(
        "--wait",
        type=_seconds,
        nargs="?",
        const=SYNC_WAIT,
        default=None,
        metavar="SECONDS",
        help=f"wait until the commit's services are ready ({SYNC_WAIT:g})",
    )


def _add_notify(commands: Commands) -> None:
    notify = commands.add(
        "notify",
        "notify",
        "show whom the node tells what, and how that went",
        "Whom: [[notify]] in config.toml, see README. --test sends a message to each address now.",
    )
    notify.add_argument("--test", action="store_true", help="send a message to each address")
    notify.add_argument("--json", action="store_true", help="for programs")


def _add_schema(commands: Commands) -> None:
    commands.add(
        "schema",
        "schema",
        "print the JSON Schema of manifests, for editors",
        "atek schema > atek.schema.json",
    )


def _json(text: str) -> Any:
    import json

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        why = f"not valid JSON ({error}); text needs quotes of its own, like '\"notes\"'"
        raise argparse.ArgumentTypeError(f"{text[:80]} is {why}") from None


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text} is not a number of lines")
    return int(text)


def _seconds(text: str) -> float:
    from manifests.model.quantities import parse_duration

    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time: 30, 1.5 or 2m") from None
