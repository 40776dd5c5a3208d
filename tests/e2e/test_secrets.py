"""Secrets in a real node's life: they arrive, they change, and their text is nowhere else."""

from __future__ import annotations

import os
import signal
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from manifests.sops import age
from manifests.sops.document import load, seal, store_of
from manifests.sops.rules import DEFAULT
from reconciler.state.age_key import ensure_identity

if TYPE_CHECKING:
    from tests.e2e.nodes import Bench

API, PASSWORD, WHOLE = "sk-4pi-0f-the-service", "pa$$ w0rd-of-the-database", "whole-file-secret-4711"
_PROGRAM = ("sh", "-c", 'echo "up"; trap "exit 7" TERM; while :; do sleep 0.05; done')


@pytest.fixture
def node(bench: Bench) -> Bench:
    bench.home.mkdir(mode=0o700)
    write(bench, "vault.yaml", f"api: {API}\ndb: {{password: '{PASSWORD}'}}\nport: 5432\n")
    write(bench, "settings.bin", WHOLE)
    return bench


def write(bench: Bench, name: str, plain: str, *recipients: str) -> Path:
    own = age.recipient_of(ensure_identity(bench.home))
    store = store_of(name)
    sealed = seal(
        store, load(store, plain.encode()), recipients=recipients or (own,), rule=DEFAULT,
        mac_only_encrypted=False, modified="2026-11-30T12:00:00Z", random=os.urandom,
    )  # fmt: skip
    return bench.write(name, sealed.decode())


def declare(bench: Bench, *command: str, **more: object) -> None:
    secrets = {
        "API_KEY": {"file": "vault.yaml", "key": "api"},
        "PORT_OF_DB": {"file": "vault.yaml", "key": "port"},
        "PASSWORD": {"file": "vault.yaml", "key": "db.password", "as": "file"},
        "SETTINGS": {"file": "settings.bin", "as": "file"},
        "URL": {"file": "vault.yaml", "text": "pg://u:${db.password}@db:${port}/$$x"},
        **more,
    }
    bench.declare("app", *(command or _PROGRAM), secrets=secrets)


def environment(bench: Bench) -> dict[str, str]:
    data = Path(f"/proc/{bench.pid('app')}/environ").read_bytes()
    return dict(each.split("=", 1) for each in data.decode().split("\0") if "=" in each)


def test_a_service_gets_its_secrets(node: Bench) -> None:
    declare(node)
    node.up()
    node.until(lambda: node.ready("app"), "it runs")

    found = environment(node)

    assert found["API_KEY"] == API and found["PORT_OF_DB"] == "5432"
    assert found["URL"] == f"pg://u:{PASSWORD}@db:5432/$x"
    for name, text in (("PASSWORD", PASSWORD), ("SETTINGS", WHOLE)):
        assert name not in found
        file = Path(found[f"{name}_FILE"])
        assert file.read_text() == text
        assert stat.S_IMODE(file.stat().st_mode) == 0o400
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert not file.is_relative_to(node.root)

    assert node.stop() == 0
    assert not file.parent.exists()


def test_a_changed_secret_is_a_new_revision_and_an_unchanged_one_is_not(node: Bench) -> None:
    declare(node)
    node.up()
    node.until(lambda: node.ready("app"), "it runs")
    pid, revision = node.pid("app"), node.service("app")["observedRevision"]

    # The same text, under a new key.
    write(node, "vault.yaml", f"api: {API}\ndb: {{password: '{PASSWORD}'}}\nport: 5432\n")
    plan = node.atek("plan", str(node.folder))
    assert (plan.returncode, plan.stdout) == (0, "nothing would change\n"), plan.stderr
    write(node, "vault.yaml", f"api: other\ndb: {{password: '{PASSWORD}'}}\nport: 5432\n")
    plan = node.atek("plan", str(node.folder))

    node.until(lambda: node.replaced("app", pid), "it runs anew")
    assert environment(node)["API_KEY"] == "other"
    changed = node.service("app")["observedRevision"]
    assert changed != revision
    assert API not in plan.stdout + plan.stderr
    # Back again: the same text is the same revision.
    write(node, "vault.yaml", f"api: {API}\ndb: {{password: '{PASSWORD}'}}\nport: 5432\n")
    node.until(lambda: node.service("app")["observedRevision"] == revision and node.ready("app"), "as before")


def test_what_is_damaged_or_for_others_leaves_what_runs_alone(node: Bench) -> None:
    declare(node)
    node.up()
    node.until(lambda: node.ready("app"), "it runs")
    pid = node.pid("app")

    good = (node.folder / "vault.yaml").read_text()
    node.write("vault.yaml", good.replace("port: ENC", "port: enc"))
    node.until(lambda: reason(node) == "SecretTampered", "it is told")
    node.write("vault.yaml", good.replace("api:", "apj:"))
    node.until(lambda: "apj" in node.condition("app", "Stalled")[2], "it is told")
    other = age.recipient_of(age.new_identity())
    write(node, "vault.yaml", "api: x\n", other)
    node.until(lambda: reason(node) == "SecretNotForThisNode", "it is told")
    assert other in node.condition("app", "Stalled")[2]
    assert "rotate --add age1" in node.condition("app", "Stalled")[2]
    write(node, "vault.yaml", "api: x\n")
    node.until(lambda: reason(node) == "SecretKeyNotFound", "it is told")
    (node.folder / "vault.yaml").unlink()
    node.until(lambda: reason(node) == "SecretFileNotFound", "it is told")

    # What runs is what ran; and what crashes comes back with the secrets that it had.
    assert node.pid("app") == pid
    os.kill(pid, 9)
    node.until(lambda: node.replaced("app", pid), "it is back")
    assert environment(node)["API_KEY"] == API


def reason(node: Bench) -> str:
    return node.condition("app", "Stalled")[1]


def test_a_node_that_is_killed_leaves_nothing_behind_but_what_runs(node: Bench) -> None:
    declare(node)
    node.up()
    node.until(lambda: node.ready("app"), "it runs")
    file, pid = Path(environment(node)["PASSWORD_FILE"]), node.pid("app")

    node.kill()
    node.up()
    node.until(lambda: node.ready("app"), "it is adopted")
    assert node.pid("app") == pid and file.read_text() == PASSWORD
    node.kill()
    os.kill(pid, 9)
    node.up()
    node.until(lambda: node.ready("app"), "another one runs")
    assert not file.parent.exists()
    assert Path(environment(node)["PASSWORD_FILE"]).read_text() == PASSWORD


def test_the_text_of_a_secret_is_nowhere(node: Bench) -> None:
    """Not in what the node says, keeps, writes or hands to the kernel for everybody to read."""
    says = 'echo "error: cannot log in with $$API_KEY"; cat "$$PASSWORD_FILE" >&2; exit 3'
    declare(node)
    node.up()
    node.until(lambda: node.ready("app"), "it runs")
    told = shown(node)
    node.declare("loud", "sh", "-c", says, secrets={
        "API_KEY": {"file": "vault.yaml", "key": "api"},
        "PASSWORD": {"file": "vault.yaml", "key": "db.password", "as": "file"},
    })  # fmt: skip
    node.until(lambda: "exited" in node.condition("loud")[2].lower(), "it ends badly")
    told += shown(node)
    node.declare("argv", "echo", "$API_KEY", secrets={"API_KEY": {"file": "vault.yaml", "key": "api"}})
    node.until(lambda: "SecretInCommand" in str(node.service("argv")["conditions"]), "it is refused")
    told += shown(node)

    # Of what an earlier life of the node started, its words are as well known.
    trap = "trap 'echo \"fatal: $$API_KEY\"; exit 4' USR1; while :; do sleep 0.05; done"
    secrets = {"API_KEY": {"file": "vault.yaml", "key": "api"}}
    node.declare("late", "sh", "-c", trap, secrets=secrets, restart={"policy": "never"})
    node.until(lambda: node.ready("late"), "it runs")
    node.kill()
    node.up()
    node.until(lambda: node.ready("late"), "it is adopted")
    os.kill(node.pid("late"), signal.SIGUSR1)
    node.until(lambda: "fatal: ***" in node.atek("events").stdout, "it ends badly")
    told += shown(node)

    for text in (API, PASSWORD, WHOLE):
        assert text not in told
        assert files_with(node.home, text, but="logs") == []
        for pid in node.processes():
            with suppress(FileNotFoundError, ProcessLookupError):
                assert text not in Path(f"/proc/{pid}/cmdline").read_text()
    assert node.node is not None
    limits = Path(f"/proc/{node.node.pid}/limits").read_text()
    (cores,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert cores.split()[4] == "0"
    assert node.stop() == 0
    assert all(files_with(node.home, text, but="logs") == [] for text in (API, PASSWORD, WHOLE))


def shown(node: Bench) -> str:
    """All that the node says."""
    commands = (
        ("status",), ("status", "--json"), ("events",), ("plan", str(node.folder)), ("logs", "app"),
    )  # fmt: skip
    done = [node.atek(*words) for words in commands]
    return node.log() + "".join(each.stdout + each.stderr for each in done)


def files_with(folder: Path, text: str, *, but: str) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        # The node writes meanwhile, and what it replaces is gone.
        with suppress(FileNotFoundError):
            if (
                path.is_file()
                and not path.is_relative_to(folder / but)
                and text.encode() in path.read_bytes()
            ):
                found.append(str(path))
    return found


def test_a_service_without_secrets_may_dump_its_core(node: Bench) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if not hard:
        return
    node.declare("plain")
    declare(node)
    resource.setrlimit(resource.RLIMIT_CORE, (4096, hard))
    try:
        node.up()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    node.until(lambda: node.ready("plain", "app"), "they run")

    assert resource.prlimit(node.pid("plain"), resource.RLIMIT_CORE)[0] == 4096
    assert resource.prlimit(node.pid("app"), resource.RLIMIT_CORE)[0] == 0
