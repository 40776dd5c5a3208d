"""The words of `atek secret`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from reconciler.cli.commands import Commands

_TYPES = ("yaml", "json", "dotenv", "ini", "binary")


def add_secret(commands: Commands) -> None:
    """`seal`, `edit` and `rotate`."""
    secret = commands.add(
        "secret",
        "secret",
        "make and change files of secrets (SOPS, age)",
        "They may lie in Git and beside manifests; `secrets:` in a manifest says which service gets what.\n"
        "A `.sops.yaml` beside them, or above, says for whom they are and what of them is encrypted.",
    )
    words = secret.add_subparsers(dest="secret_command", metavar="COMMAND", required=True)
    seal = words.add_parser(
        "seal", help="encrypt a file in its place, or stdin to stdout", allow_abbrev=False
    )
    seal.add_argument("file", metavar="FILE", help="a plain file, or - for stdin")
    seal.add_argument("-o", "--output", metavar="FILE", help="write there instead")
    seal.add_argument("--type", choices=_TYPES, help="what kind of file it is (by its name)")
    _add_how(seal)
    edit = words.add_parser("edit", help="change the plain text in $EDITOR, in memory", allow_abbrev=False)
    edit.add_argument("file", metavar="FILE", help="it is made if there is none")
    _add_how(edit)
    rotate = words.add_parser(
        "rotate", help="give a file a new key, and other recipients", allow_abbrev=False
    )
    rotate.add_argument("file", metavar="FILE")
    rotate.add_argument(
        "--add", metavar="RECIPIENT", action="append", default=[], help="another one that can read it"
    )
    rotate.add_argument(
        "--remove", metavar="RECIPIENT", action="append", default=[], help="one that cannot any more"
    )


def _add_how(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--to", metavar="RECIPIENT", action="append", default=[],
        help="who can read it, besides those of .sops.yaml or else this node",
    )  # fmt: skip
    command.add_argument("--regex", metavar="R", help="encrypt only what is below keys in which R is found")
