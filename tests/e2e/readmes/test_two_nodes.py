"""What the READMEs have to be typed about nodes that follow each other, typed on a laptop, a pi beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.readmes.shell import Line, Shell

if TYPE_CHECKING:
    from tests.e2e.members import Member

#: The newest one of a service's.
VERSION = r"$(atek history hello | sed -n 's/^version \([0-9]*\) .*/\1/p' | head -1)"
#: What the service `asks` of the laptop wants on the pi.
RIGHT = "api:atek.cloud/services-api"
#: The pi follows the laptop already, which has pushed `asks`, and has data of a service `photos` of its own.
RUN = {
    "atek key": [Line("atek key", "age1")],
    "atek follow LINK --name N [limits]": [
        Line('atek follow "$(atek key --link --home pi)" --name pi --status-only', "pi"),
    ],
    "atek grant": [Line("atek grant --home pi", f"asked for: {RIGHT}")],
    "atek grant ID [RIGHT…] [--yes]": [Line(f"atek grant asks {RIGHT} --yes --home pi", "granted to asks")],
    "atek revoke ID [RIGHT…]": [Line(f"atek revoke asks {RIGHT} --home pi", "taken from asks")],
    "atek push FOLDER": [Line("atek push photos", "photos")],
    "atek push PATH [--to NODE] [--wait]": [
        Line("atek push hello --to pi --wait", "hello"),
        Line("atek push hello", "hello"),
    ],
    "atek adopt ID": [Line("atek adopt photos --home pi", "photos has the data")],
    "atek status --node NODE": [Line("atek status --node pi", "hello .*yes ")],
    "atek history [ID]": [Line("atek history", "photos"), Line("atek history hello", "hello")],
    "atek plan --at VERSION": [Line(f'atek plan --at "{VERSION}"', "nothing would change")],
    "atek rollback ID --to VERSION": [Line(f'atek rollback hello --to "{VERSION}"', "hello")],
    "atek backup FILE": [Line("atek backup laptop.backup")],
    "atek restore FILE": [Line("atek restore laptop.backup --home moved")],
    "atek repair": [Line("atek repair", "whole")],
    "atek unfollow N": [Line("atek unfollow pi", "pi")],
}
PROGRAM = "require('http').createServer().listen(process.env.ATEK_ASSIGNED_SOCKET_FILE)\n"


@pytest.mark.timeout(300)
def test_all_of_it(pair: tuple[Member, Member]) -> None:
    laptop, pi = pair
    pi.declare("photos", "sh", "-c", 'echo mine > "$ATEK_DATA_DIR/one.jpg"; exec sleep 1000')
    for node in pair:
        node.up()
    pi.until(lambda: pi.ready("photos"), "it has written")
    (pi.folder / "photos.json").unlink()
    pi.until(lambda: not pi.service("photos")["instances"], "it is gone")
    laptop.until(lambda: laptop.atek("key").returncode == 0, "its keys are known")
    pi.until(lambda: pi.atek("key").returncode == 0, "its keys are known")
    pi.follow(laptop, "--trust", "foreign", "--sandbox", "none")

    for name in ("asks", "hello", "photos"):
        (laptop.root / name).mkdir()
        (laptop.root / name / "index.js").write_text(PROGRAM)
    (laptop.root / "asks" / "atek.yaml").write_text("allow: [atek.cloud/services-api]\n")
    laptop.told("push", str(laptop.root / "asks"))
    places = {"--home pi": f"--home {pi.home}"}
    with Shell(laptop.root, {"ATEK_HOME": os.fspath(laptop.home)}, places) as shell:
        for command, lines in RUN.items():
            if command == "atek grant":
                pi.until(lambda: pi.condition("asks", "Stalled")[1] == "GrantRequired", "it asks")
            if command == "atek adopt ID":
                pi.until(lambda: pi.condition("photos", "Stalled")[1] == "DataOwned", "its data is another's")
            shell.type(lines)
    pi.until(lambda: pi.ready("photos"), "it has the data")
