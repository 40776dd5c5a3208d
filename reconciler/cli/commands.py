"""The commands of `atek` as the parser of words knows them: all alike."""

from __future__ import annotations

import argparse
from typing import Any


class Commands:
    """Adds commands that all look alike."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._add: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, module: str, summary: str, about: str = "") -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = self._add.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.\n\n{about}".rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(module=module, command=name)
        # SUPPRESS: without it the default here would undo `atek --home H COMMAND`.
        command.add_argument("--home", metavar="H", default=argparse.SUPPRESS, help="the node's folder")
        return command
