"""The commands about a home from afar: their options and their help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.cli.commands import Commands

#: Beside a node's own, which may run on the same machine.
PORT = 2836


def add_remote(commands: Commands, port: Callable[[str], int]) -> None:
    """All of them; `port` reads a port."""
    pair = commands.add(
        "pair",
        "pair",
        "show a code that lets one device reach this node from anywhere",
        "The code is good for two minutes and for one device: `atek connect CODE` there. Whoever uses that\n"
        "device reaches what you reach on this machine, until `atek unpair`.",
    )
    pair.add_argument("--user", metavar="NAME", help="whose device it is, where several people live here")
    connect = commands.add(
        "connect",
        "connect",
        "reach a home from this machine, as if it were here",
        "With a CODE of `atek pair` it pairs this machine first. Later the home's name is enough, or\n"
        "nothing where there is one home. Runs until Ctrl-C, and finds the home again after sleep and lost\n"
        "networks.\n\n"
        "  atek connect K7QF-2M9X-…@10.0.0.7:49737\n"
        "  atek connect pi\n"
        "  http://localhost:2836 and http://notes.localhost:2836 are that home's then",
    )
    connect.add_argument("to", metavar="CODE|NODE", nargs="?", help="a code, or the name of a home")
    connect.add_argument("--port", type=port, default=PORT, metavar="N", help=f"the port here ({PORT})")
    connect.add_argument("--name", metavar="NAME", help="what this device is called there")
    unpair = commands.add(
        "unpair", "unpair", "let a device in no more", "Its open connections are cut off at once."
    )
    unpair.add_argument("device", metavar="DEVICE", help="its name, or its key")
    devices = commands.add("devices", "devices", "show the devices that may come from afar")
    devices.add_argument("--json", action="store_true", help="for programs")
