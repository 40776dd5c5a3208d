"""What the page on sandboxes says of a program is what a program finds, and who shows the rest is there.

A program at each level tries all that the first table has, and says what came of it. The second table is
about several parts of the node: each row has tests elsewhere, by name.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtimes.factories import launch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtimes.sandbox.machine import Facts
    from tests.runtimes.processes.benches import Bench

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "runtimes/sandbox/README.md").read_text("utf-8")
#: The system's, which a strict program sees as well.
PYTHON = "/usr/bin/python3"
LEVELS = ("none", "private", "strict")

SETUID = "gain rights by setuid programs (`sudo`, `su`)"

#: By the first cell of a row, what a program does for it: a line that throws where it may not.
#: What it needs to know is in `at`, read from a file: names below /tmp in its command would be shown to it.
PROBES = {
    "read the node's tokens and state": "open(at['token']).read()",
    "read another service's data": "open(at['diary']).read()",
    "connect to another service's socket, past the gateway": "connect_to(at['socket'])",
    "see another service's processes, and so their environment": (
        "assert b'OF_ANOTHER=' in b''.join(map(environment, numbers()))"
    ),
    "read your files": "open(at['file']).read()",
    "change your files": "open(at['file'], 'a').write('x')",
    "read other programs' files in `/tmp`": "open(at['temporary']).read()",
    "write its data folder": "open(os.environ['ATEK_DATA_DIR'] + '/kept', 'w').write('x')",
    "write its copy of its package": "open('written', 'w').write('x')",
    "connect to a port of this machine": "socket.create_connection(('127.0.0.1', at['port']), 5)",
    "reach other machines": "assert os.readlink('/proc/self/ns/net') == at['network']",
    "call the gateway": "call_gateway()",
    SETUID: (
        "assert 'NoNewPrivs:\\t0' in open('/proc/self/status').read()"
    ),
}  # fmt: skip
PROGRAM = f"""
import json, os, socket
at = json.load(open(os.environ["ATEK_DATA_DIR"] + "/at.json"))

def connect_to(path):
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(path)

def numbers():
    return [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]

def environment(number):
    try:
        return open(f"/proc/{{number}}/environ", "rb").read()
    except OSError:
        return b""

def call_gateway():
    socket.create_connection(("localhost", int(os.environ["ATEK_HOST_PORT"])), 5).close()
    if at["level"] == "strict":
        connect_to(os.environ["ATEK_HOST_SOCKET"])

def tried(line):
    try:
        exec(line)
    except (OSError, AssertionError) as error:
        return f"no: {{error}}"
    return "yes"

print(json.dumps({{name: tried(line) for name, line in {PROBES!r}.items()}}))
"""
#: Another service, which is there to be attacked.
OTHER = """
import os, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind(os.environ["ATEK_ASSIGNED_SOCKET_FILE"])
server.listen()
open(os.environ["ATEK_DATA_DIR"] + "/diary", "w").write("dear")
time.sleep(1000)
"""


def rows(heading: str) -> dict[str, list[str]]:
    """The first table of a part of the page: the cells after the first, by that one."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", part, re.MULTILINE)[2:]
    found = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {first: rest for first, *rest in found}


PROGRAMS = rows("A program of this machine")


class Gateway:
    """Implements `runtimes.network.networks.Gateway`: whoever connects waits to be accepted."""

    def __init__(self) -> None:
        self.listeners: list[socket.socket] = []

    def open_door(self, instance: str, token: str, listeners: Sequence[socket.socket]) -> None:
        self.listeners += listeners

    def close_door(self, instance: str) -> None:
        for each in self.listeners:
            each.close()


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """A user's, and another program's in /tmp."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp")), Path(tempfile.mkdtemp(dir="/tmp"))
    for each in made:
        (each / "file").write_text("mine")
    yield made
    for each in made:
        shutil.rmtree(each)


async def came(bench: Bench, level: str, folders: tuple[Path, Path], **manifest: Any) -> dict[str, str]:
    """What a program at this level comes to, by the first cells of the table."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [each.getsockname()[1] for each in listeners]
        bench.paths = replace(bench.paths, host_port=ports[0])
        bench.next_life()
        bench.hosts[-1].networks.gateway = gateway = Gateway()
        stack.callback(gateway.close_door, "")
        other = bench.launch(
            "other", "i2", sys.executable, "-c", OTHER, sandbox="none", env={"OF_ANOTHER": "1"}
        )
        running = await bench.runtime.start(other)
        (bench.home / "data/app").mkdir()
        await bench.until("../other/diary")
        (bench.home / "state/admin.token").write_text("secret")
        package = bench.home / "packages/fetched"
        package.mkdir()
        (package / "main.py").write_text(PROGRAM)
        at = {
            "level": level, "token": f"{bench.home}/state/admin.token",
            "diary": f"{bench.home}/data/other/diary", "socket": str(running.endpoint.socket),
            "file": f"{folders[0]}/file", "temporary": f"{folders[1]}/file",
            "port": ports[1], "network": os.readlink("/proc/self/ns/net"),
        }  # fmt: skip
        (bench.home / "data/app/at.json").write_text(json.dumps(at))
        app = bench.service(PYTHON, "main.py", sandbox=level, package=os.fspath(package), **manifest)
        await bench.runtime.prepare(app, lambda _: None)
        await bench.finish(await bench.runtime.start(launch(app)))
        found: dict[str, str] = json.loads((bench.home / "logs/app/service.log").read_text())
        return found


@pytest.mark.anyio
@pytest.mark.parametrize("level", LEVELS)
async def test_a_program_may_what_the_table_says(
    bench: Bench, facts: Facts, folders: tuple[Path, Path], level: str
) -> None:
    found = await came(bench, level, folders)
    said = {name: cells[LEVELS.index(level)] for name, cells in PROGRAMS.items()}
    assert found.keys() == said.keys()
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        # Who runs these tests may not either.
        said[SETUID] = "no"
    assert all(re.match(r"(yes|no)\b", cell) for cell in said.values())
    assert {name: cell.split(":")[0] for name, cell in found.items()} == {
        name: re.split(r"\W", cell)[0] for name, cell in said.items()
    }, found


@pytest.mark.anyio
async def test_a_strict_one_may_more_by_the_binds_that_it_says(
    bench: Bench, facts: Facts, folders: tuple[Path, Path]
) -> None:
    before = {name: cells[2].startswith("yes") for name, cells in PROGRAMS.items()}
    found = await came(bench, "strict", folders, binds=[f"{folders[0]}:rw"])
    after = {name: cell == "yes" for name, cell in found.items()}
    granted = {name for name, cells in PROGRAMS.items() if "`binds" in cells[2]}
    assert {name for name in after if after[name] != before[name]} == granted


@pytest.mark.anyio
@pytest.mark.parametrize("level", LEVELS)
async def test_another_user_of_this_machine_does_not_get_into_its_folders(
    bench: Bench, facts: Facts, level: str
) -> None:
    await bench.finish(await bench.start("true", sandbox=level))
    for folder in ("data/app", "logs/app"):
        assert stat.S_IMODE((bench.home / folder).stat().st_mode) & 0o077 == 0


#: By the first cell of a row of the other tables: the tests that show it.
ATTACKS, HERE = (
    "tests/runtimes/router/test_attacks.py::test_each_fails_because_of_its_guard",
    "tests/runtimes/processes",
)
HOSTILE = "tests/manifests/model/test_hostile.py::test_it_comes_to_nothing"
PUSH = "tests/e2e/test_hostile_push.py::test_what_others_push_gets_nothing_of_this_node"
GRANTS, DOCKER = "tests/sim/test_grants.py", "tests/runtimes/docker"
COMPOSE = "tests/manifests/compose/test_translation.py"
ACTS = (
    "tests/sim/test_members_policy.py::"
    "test_another_nodes_services_act_for_that_node_and_call_only_what_the_policy_allows"
)
PERSON = "tests/runtimes/router/test_calls.py::test_a_session_calls_as_the_user_and_the_target"
PAGES = "tests/runtimes/router/test_hostile_pages.py"
CROSS_SITE = (
    "tests/e2e/test_visitors.py::test_a_manifest_lets_pages_of_other_sites_in_and_out_without_a_restart"
)
SHOWN: dict[str, list[str]] = {
    "yours: your own files, nodes that you follow with `--trust own`": [
        "tests/manifests/model/test_rights.py::test_own_machines_are_as_ones_own_files",
        f"{HERE}/test_confined.py::test_without_sandboxes_a_private_one_runs_and_it_is_said",
        "tests/runtimes/sandbox/test_confinement.py::test_silence_is_the_owners_default_and_demands_nothing",
    ],
    'others\': nodes that you follow as foreign, Git sources with `trust = "foreign"`': [
        PUSH, HOSTILE, f"{HERE}/test_confined.py::test_without_sandboxes_a_strict_one_does_not_run",
    ],
    "the node's own services, whose ids begin with `core.`": [
        "tests/runtimes/sandbox/test_confinement.py::test_the_nodes_own_parts_are_not_kept_from_its_home"
    ],
    "containers": [
        f"{DOCKER}/test_hardening.py::test_it_has_no_rights_and_writes_only_where_it_may",
        f"{DOCKER}/test_hardening.py::test_only_egress_leads_out",
        f"{COMPOSE}::test_a_service_is_as_free_as_compose_makes_it",
    ],
    "call what other services export": [
        "tests/manifests/model/test_authority.py::test_who_may_call_what", ATTACKS,
        f"{COMPOSE}::test_it_calls_nobody_unless_its_file_grants_it", ACTS, HOSTILE, PERSON,
    ],
    "call the node's own APIs, which administer it": [
        "tests/manifests/model/test_authority.py::test_the_nodes_own_are_for_who_is_granted_them_by_name",
        ATTACKS,
        f"{COMPOSE}::test_it_calls_nobody_unless_its_file_grants_it", ACTS, PUSH,
        "tests/reconciler/apis/test_attacks.py::test_each_fails_because_of_its_guard",
    ],
    "visit the host of another service, as a program": [
        "tests/runtimes/router/test_known_peers.py::test_a_host_is_no_way_around_what_it_may_call",
        "tests/runtimes/router/test_known_peers.py::test_its_own_host_is_open_to_it_and_one_without_apis_where_it_may_call_anything",
        "tests/runtimes/router/test_known_peers.py::test_who_is_no_service_is_a_visitor",
        "tests/runtimes/router/test_private_hosts.py::test_owners_and_admins_may_and_everybody_where_a_service_is_for_all",
        "tests/e2e/test_visitors.py::test_a_node_listens_on_this_machine_only", ATTACKS,
    ],
    "have another service do something, from a page in a browser": [
        f"{PAGES}::test_it_has_a_service_do_nothing",
        f"{PAGES}::test_a_worker_that_stays_has_a_service_do_nothing", CROSS_SITE,
    ],
    "read in a page what another service answers": [
        f"{PAGES}::test_it_reads_nothing_that_a_service_says",
        "tests/runtimes/router/test_cross_site.py::test_an_answer_is_the_readers", CROSS_SITE,
    ],
    "run programs while it is built": [
        "tests/runtimes/packages/test_workshop.py::test_what_a_hook_of_npm_gets_to",
        "tests/runtimes/packages/test_workshop.py::test_what_a_back_end_gets_to",
        f"{DOCKER}/test_foreign_builds.py::test_what_others_wrote_is_built_without_a_network",
    ],
    "take all memory, fill the disk": [
        f"{HERE}/test_sampling.py::test_all_processes_together_have_the_memory_of_one",
        "tests/sim/test_limits.py::test_who_has_too_much_is_ended_and_starts_again_by_itself",
        "tests/sim/test_limits.py::test_a_default_is_for_all_that_say_nothing",
        f"{DOCKER}/test_hardening.py::test_the_engine_has_the_limits", HOSTILE,
        f"{GRANTS}::test_a_flood_of_records_is_ten_services",
    ],
    "read what a service keeps": [
        f"{HERE}/test_readme_page.py::test_a_program_may_what_the_table_says",
        f"{HERE}/test_readme_page.py::test_another_user_of_this_machine_does_not_get_into_its_folders",
        f"{HERE}/test_recovery.py::test_nobody_else_may_read_a_record_and_no_token_shows_by_accident",
        f"{HERE}/test_process.py::test_output_goes_to_a_private_log_and_survives",
        "tests/reconciler/serve/test_control.py::test_only_the_owner_and_root_are_let_in",
        f"{DOCKER}/test_pure.py::test_only_allowed_folders_of_this_machine", PUSH,
    ],
    "have more than this": [
        f"{GRANTS}::test_what_is_asked_for_waits_and_both_sides_say_why",
        "tests/manifests/model/test_rights.py::test_what_nobody_can_grant",
        f"{DOCKER}/test_pure.py::test_only_allowed_folders_of_this_machine",
        "tests/reconciler/decide/test_may.py::test_what_a_sandboxed_program_may",
    ],
}  # fmt: skip


def test_every_row_has_tests_that_show_it() -> None:
    assert {**rows("Three levels"), **rows("Who may what")}.keys() == SHOWN.keys()


@pytest.mark.parametrize("name", sorted({name for names in SHOWN.values() for name in names}))
def test_what_shows_it_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    defined = ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
    assert test in {each.name for each in defined if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
