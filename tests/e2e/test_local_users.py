"""Another user of the machine, on a real node of root's whose services have users of their own.

Each attempt is made by a program of that user, and fails; the same one works for root, so it is the user that
it fails for. What somebody has prepared before the node came is refused.
"""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from runtimes import paths
from runtimes.base import RuntimeFailure
from runtimes.data.removal import remove_tree
from runtimes.paths import make_private, run_directory
from tests.runtimes.users.conftest import PYTHON, USERS, root_only

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.nodes import Bench

pytestmark = root_only
STRANGER = USERS.last + 1000
_SAY = """
import os, socket, sys
def reach(path):
    one = socket.socket(socket.AF_UNIX); one.connect(path)
    one.sendall(b"GET /status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"); one.settimeout(10)
    if not one.recv(10): raise PermissionError(13, "Permission denied")
"""
ATTEMPTS = {
    "look into the home": "os.listdir('{home}')",
    "read an administrator's token": "open('{home}/state/admin.token').read()",
    "read the node's secret": "open('{home}/state/node.secret', 'rb').read()",
    "read the config file": "open('{home}/config.json').read()",
    "read a record with a token": "open('{home}/state/instances/{instance}.json').read()",
    "read a log": "open('{home}/logs/app/service.log').read()",
    "look into the data": "os.listdir('{home}/data/app')",
    "write data": "open('{home}/data/app/planted', 'w')",
    "look into the sockets": "os.listdir('{run}')",
    "order by the control socket": "reach('{run}/control.sock')",
    "ask as the router does": "reach('{run}/node.sock')",
    "reach the gateway's socket": "reach('{run}/gateway.sock')",
    "reach a service past the router": "reach('{run}/{instance}/sock')",
    "put a socket in the place of a service's": "os.rename('{run}/{instance}', '{run}/{instance}-moved'), "
    "os.rename('{run}/{instance}-moved', '{run}/{instance}')",
    "read a service's environment": "open('/proc/{pid}/environ').read()",
    "read the node's environment": "open('/proc/{node}/environ').read()",
    "read the router's memory": "open('/proc/{router}/mem', 'rb')",
    "hold a service's files": "os.listdir('/proc/{pid}/fd')",
    "signal a service": "os.kill({pid}, 0)",
    "signal the node": "os.kill({node}, 0)",
}
_SERVER = """
import os, http.server, socketserver
class Server(socketserver.UnixStreamServer):
    def get_request(self): return super().get_request()[0], ("local", 0)
Server(os.environ["ATEK_ASSIGNED_SOCKET_FILE"], http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def attempt(code: str, user: int) -> str:
    """What came of it: `done`, or why not."""
    whole = (
        f"{_SAY}\ntry:\n    {code}\n    print('done')\nexcept OSError as error:\n    print(error.strerror)"
    )
    ran = subprocess.run(
        [PYTHON, "-c", whole], user=user, group=user, extra_groups=(), capture_output=True, text=True,
        cwd="/", env={}, timeout=30,
    )  # fmt: skip
    return ran.stdout.strip() or ran.stderr


def test_another_user_of_the_machine_gets_nothing_of_a_node(bench: Bench) -> None:
    bench.root.chmod(0o711)
    bench.home.mkdir(mode=0o700)
    (bench.home / "config.json").write_text(f'{{"coreServices": [], "users": "{USERS}"}}')
    bench.declare("app", PYTHON, "-c", _SERVER, probes={})
    bench.up()
    bench.until(lambda: bench.ready("app"), "ready")
    (instance,) = bench.service("app")["instances"]
    assert bench.node is not None
    routers = subprocess.run(
        ["pgrep", "-P", str(bench.node.pid), "-f", "runtimes.router"], capture_output=True, text=True
    ).stdout.split()
    home, run = bench.home.resolve(), run_directory(bench.home.resolve())
    known = {
        "home": home, "run": run, "instance": instance["instance"], "pid": instance["pid"],
        "node": bench.node.pid, "router": routers[0],
    }  # fmt: skip
    assert os.stat(f"/proc/{instance['pid']}").st_uid in USERS
    came = {what: attempt(code.format(**known), STRANGER) for what, code in ATTEMPTS.items()}
    assert set(came.values()) <= {"Permission denied", "Operation not permitted"}, came
    # Without the users between them all of it is done.
    came = {what: attempt(code.format(**known), 0) for what, code in ATTEMPTS.items()}
    assert set(came.values()) == {"done"}, came
    # Whoever gets as far as to the sockets of the node's owner is still another user.
    for folder in (home, run):
        folder.chmod(0o711)
    for name in ("control.sock", "node.sock"):
        (run / name).chmod(0o666)
        assert attempt(f"reach('{run}/{name}')", STRANGER) in (
            "Permission denied",
            # Whether it is turned away before or after it has sent something.
            "Broken pipe",
            "Connection reset by peer",
        )
        assert attempt(f"reach('{run}/{name}')", 0) == "done"
    assert bench.ready("app")


def test_what_somebody_prepared_in_a_shared_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/tmp, where the home's path is too long for sockets and there is nothing better."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o1777)
    folder = shared / "atek-0-0123456789"
    for kind in ("theirs", "link", "file"):
        if kind == "theirs":
            folder.mkdir()
            os.chown(folder, STRANGER, STRANGER)
        elif kind == "link":
            folder.symlink_to("/etc")
        else:
            folder.write_text("no folder")
        with pytest.raises(RuntimeFailure):
            make_private(folder)
        remove_tree(folder)
    assert stat.S_IMODE(os.stat("/etc").st_mode) == 0o755
    monkeypatch.setattr(paths, "_short_directory", lambda home: folder)
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
