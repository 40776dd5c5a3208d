"""Nothing that a README has to be typed is left out: it is run by a test beside this one, or named here."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.readmes import (
    test_checkout,
    test_machine,
    test_one_node,
    test_people,
    test_tours,
    test_two_nodes,
)
from tests.e2e.readmes.shell import Line, Shell
from tests.e2e.readmes.written import ROOT, commands, read, readmes, strays, tours

TABLES = [
    test_one_node.BEFORE, test_one_node.UP, test_one_node.RUN, test_one_node.CLONE, test_two_nodes.RUN,
    test_checkout.UP, test_checkout.RUN, test_checkout.KEYS, test_checkout.INSTALL, test_checkout.DAEMON,
    test_machine.OWNERS, test_machine.SWARM, test_people.RUN, test_people.PAIR, test_people.CONNECT,
    test_people.PAIRED,
]  # fmt: skip
RUN = {command: [line.text for line in lines] for table in TABLES for command, lines in table.items()}
ITSELF, HOURS = "this test is a part of it", "takes an hour, other programs and their registries"
SYSTEMD = "needs a machine whose first process is systemd; test_machine.py does what the unit says"
BESIDE, SMALLER = "what a benchmark runs to measure it", "takes half an hour; test_smoke.py runs a small one"
#: What is not run as it is written, and why. Whoever adds one here raises `AT_MOST`, and has a reason.
NOT_RUN = {
    "make test": ITSELF,
    "make check": ITSELF,
    "make unit": ITSELF,
    "node --test test/": "`make test` runs it",
    "make programs": HOURS,
    "make soak": HOURS,
    "make bench": HOURS,
    "make bench-supervision": HOURS,
    "make bench-router": HOURS,
    "make bench-afar": HOURS,
    "make bench-sandbox": HOURS,
    "make bench-hyper": HOURS,
    "make bench-adb": HOURS,
    "make bench-docker": HOURS,
    "make bench-git": HOURS,
    "make bench-versions": HOURS,
    "python -m tests.bench.router.signed_in": HOURS,
    "python -m tests.bench.versions --parts python --edits 3 --rounds 1": SMALLER,
    "python -m tests.bench.versions --parts calls --rounds 3 --seconds 3": SMALLER,
    "systemctl --user": SYSTEMD,
    "loginctl enable-linger": SYSTEMD,
    "git fetch": BESIDE,
    "git daemon": BESIDE,
    "docker run": BESIDE,
    "docker start": BESIDE,
    "docker-compose up": BESIDE,
}
AT_MOST = 26
WRITTEN = sorted({(readme, command) for readme in readmes() for command in commands(read(readme))})


@pytest.mark.parametrize(("readme", "command"), WRITTEN)
def test_each_is_run(readme: str, command: str) -> None:
    """A mention of one without its words, like `atek start`, is that one."""
    run = command in RUN or any(each.startswith(f"{command} ") for each in RUN)
    assert run or command in NOT_RUN, f"nothing runs `{command}` of {readme}"


def test_what_is_run_is_what_is_written() -> None:
    assert not strays(RUN)
    written = {command for _, command in WRITTEN}
    assert not (RUN.keys() | NOT_RUN.keys()) - written, "no README has these"
    assert not RUN.keys() & NOT_RUN.keys()
    assert not [command for command, many in Counter(c for t in TABLES for c in t).items() if many > 1]


def test_few_are_not_run() -> None:
    assert len(NOT_RUN) <= AT_MOST


def test_each_tour_is_run() -> None:
    parts = {(readme, heading) for readme in readmes() for heading in tours(read(readme))}
    assert parts == test_tours.TOURS


def test_what_takes_too_long_is_there() -> None:
    """Make knows each of them, and all that it would run for it."""
    makes = [command for command in NOT_RUN if command.startswith("make ")]
    with Shell(ROOT, {}) as shell:
        shell.type([Line(command.replace("make", "make -n"), ".") for command in makes])
        shell.type([Line("make -n test", r"--test test/")])


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("atek status [ID]", ["atek status"]),
        ("atek logs ID [-f] [-n N]", ["atek logs a -f"]),
        ("atek stop ID", ["atek start a"]),
        ("atek stop ID", ["atek stop"]),
        ("atek stop ID", ["atek stop a --now"]),
        ("curl localhost:2835/readyz", ["curl localhost:2835/livez"]),
        ("atek key", []),
    ],
)
def test_what_is_not_as_written_is_found(command: str, lines: list[str]) -> None:
    assert strays({command: lines})


def test_commands_are_found() -> None:
    text = "`atek status ID`, or\n`make\nrun`: `node`.\n\n    atek key     for it     atek up [P]\n\n"
    text += "```sh\natek down\n```\n"
    assert commands(text) == ["atek key", "atek up [P]", "atek status ID", "make run"]
    assert tours(f"# A\n{text}## B\n```sh\n# C\nx\n```\n") == {"# A": "atek down\n", "## B": "# C\nx\n"}
