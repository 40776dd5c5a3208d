"""What the READMEs have to be typed about people, and about a home that is reached from elsewhere."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from reconciler.lan.authority import issue
from reconciler.lan.certificates import FOLDER
from tests.e2e.afar import Home
from tests.e2e.readmes.shell import Line, Shell
from tests.hyper.daemons import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What somebody who is asked for a password types.
TYPED = " <<< 'correct horse 1'"
PASSWORD = {
    "--password-stdin": f"--password-stdin{TYPED}",
    "user add alice": f"user add alice --password-stdin{TYPED}",
    "user passwd alice": f"user passwd alice --password-stdin{TYPED}",
}
#: The home speaks to devices, and nobody has an account there.
RUN = {
    "atek token --read-only": [Line("atek token --read-only", r"^\w{64}$")],
    "atek user link": [Line("atek user link", "http://localhost:.*/_atek/setup")],
    "atek user add NAME": [Line("atek user add alice", "alice is an owner")],
    "atek user add NAME [--role ROLE] [--password-stdin]": [
        Line("atek user add barbara --role guest --password-stdin", "barbara is a guest"),
    ],
    "atek user passwd NAME [--password-stdin]": [
        Line("atek user passwd alice"),
        Line("atek user passwd barbara --password-stdin"),
    ],
    "atek user role NAME ROLE": [Line("atek user role barbara member")],
    "atek user rename NAME NEW": [Line("atek user rename barbara bob")],
    "atek user list": [Line("atek user list", "bob +member")],
    "atek user sessions [NAME] [--end ID] [--end-all]": [
        Line("atek user sessions bob --end-all"),
        Line("atek user sessions bob --end 123456789abc", "", 1),
    ],
    "atek user remove NAME [--yes]": [Line("atek user remove bob --yes")],
    "atek ca": [Line("atek ca", "SHA-256")],
    "atek ca [--pem] [--json]": [
        Line("atek ca --pem", "BEGIN CERTIFICATE"),
        Line("atek ca --json", '"fingerprint"'),
    ],
}
#: `atek pair` goes on until its code was taken; what it shows is typed on the device.
CODE = "K7QF-…@203.0.113.7:49737"
PAIR = {
    "atek pair": [Line("atek pair")],
    "atek pair --user NAME": [Line("atek pair --user alice")],
    "atek pair [--user NAME]": [Line("atek pair"), Line("atek pair --user alice")],
}
CONNECT = {
    f"atek connect {CODE}": [Line(f"atek connect {CODE}", "paired with home", None)],
    "atek connect": [Line("atek connect", "home is http://localhost:", None)],
    "atek connect [CODE] [--port N] [--name NAME]": [
        Line("atek connect home --port 0 --name laptop", "home is http://localhost:", None),
    ],
}
DEVICE = os.uname().nodename
PAIRED = {
    "atek devices": [Line("atek devices", DEVICE)],
    "atek devices [--json]": [Line("atek devices --json", f'"{DEVICE}"'), Line("atek devices", DEVICE)],
    "atek unpair DEVICE": [Line(f"atek unpair {DEVICE}")],
}


@pytest.fixture
def home() -> Iterator[Home]:
    made = Home()
    # As if it had been opened to a network that needs certificates.
    (made.home / FOLDER).mkdir(mode=0o700, parents=True)
    issue(made.home / FOLDER, node="home", domain="localhost", hosts=["home.local"], addresses=[])
    yield made
    made.close()


@pytest.mark.timeout(300)
def test_all_of_it(home: Home) -> None:
    home.up()
    home.until(lambda: home.atek("key").returncode == 0, "its keys are known")
    environment, device = {"ATEK_HOME": os.fspath(home.home)}, {"ATEK_HOME": os.fspath(home.root / "device")}
    with Shell(home.root, environment, PASSWORD) as shell:
        for lines in RUN.values():
            shell.type(lines)
        for ((line, *_),) in zip(list(PAIR.values())[:2], strict=True):
            showing = shell.begin(line.text)
            showing.until(r"atek connect \S+")
            code = re.search(r"atek connect (\S+)", showing.said())
            assert code
            places = {CODE: code[1], "atek connect": f"atek connect --port {free_port()}"}
            with Shell(home.root, device, places) as other:
                for lines in CONNECT.values():
                    other.type(lines)
            assert showing.ended() == 0
        for lines in PAIRED.values():
            shell.type(lines)
