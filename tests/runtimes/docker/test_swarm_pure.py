"""What needs no swarm: the request for a service, its rights, and what follows from what is said of tasks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.model.spec import HttpGet, Probe
from runtimes.base import Copy, Endpoint, Exit, Running
from runtimes.docker import labels, swarm_spec
from runtimes.docker.spec import DATA
from runtimes.docker.swarm_handles import UNKNOWN_PRIVILEGES, Swarmed, unenforced
from runtimes.docker.swarm_prober import SwarmProber
from runtimes.docker.swarm_tasks import (
    Machine,
    Task,
    copies,
    end,
    failures,
    lacking,
    lingering,
    read_machines,
    read_tasks,
)
from tests.runtimes.factories import launch, service

if TYPE_CHECKING:
    from manifests.model.service import Service

NODE = "n" * 32
MACHINES = {"m1": Machine("one", "10.0.0.1", up=True), "m2": Machine("two", "10.0.0.2", up=False)}


def on_swarm(**manifest: Any) -> Service:
    return service(
        "web", runtime="swarm", image="x", placement="swarm", **{"port": 80, "egress": True, **manifest}
    )


def request(**manifest: Any) -> dict[str, Any]:
    return swarm_spec.service(launch(on_swarm(**manifest)), NODE)


def task(number: int = 1, **more: Any) -> Task:
    found = Task(
        id=f"t{number}", service="s", slot=number, machine="m1", wanted="running", state="running",
        words="started", code=0, port=32768, created=f"2026-01-0{number}",
    )  # fmt: skip
    return replace(found, **more)


FAILED = {"wanted": "shutdown", "state": "failed", "words": "task: non-zero exit (3)", "code": 3}
LOST = {"machine": "m2", "wanted": "shutdown"}


# -- the request


def test_a_task_has_no_rights_that_nobody_listed() -> None:
    container = request()["TaskTemplate"]["ContainerSpec"]
    assert container["CapabilityDrop"] == ["ALL"] and container["CapabilityAdd"] == []
    assert container["Privileges"] == {"NoNewPrivileges": True}
    assert container["ReadOnly"] is True
    assert {mount["Type"] for mount in container["Mounts"]} == {"volume", "tmpfs"}
    assert request(capabilities=["net_raw"])["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] == [
        "CAP_NET_RAW"
    ]


def test_a_task_learns_nothing_that_would_open_this_node() -> None:
    of = on_swarm(env={"A": "b"})
    text = str(swarm_spec.service(launch(of), NODE))
    assert launch(of).identity["token"] not in text
    assert "ATEK_HOST" not in text and "A=b" in text and f"ATEK_DATA_DIR={DATA}" in text


def test_machines_publish_the_port_and_choose_its_number() -> None:
    assert request(port="auto")["EndpointSpec"] == {
        "Mode": "dnsrr",
        "Ports": [{"Protocol": "tcp", "TargetPort": 8080, "PublishMode": "host"}],
    }
    assert request(port=None)["EndpointSpec"]["Ports"] == []


def test_without_a_way_out_the_network_is_internal_and_another_one() -> None:
    private = swarm_spec.network(NODE, on_swarm(port=None, egress=False).manifest)
    outside = swarm_spec.network(NODE, on_swarm().manifest)
    assert (private["Internal"], outside["Internal"]) == (True, False)
    assert private["Name"] != outside["Name"]


@pytest.mark.parametrize(
    ("policy", "condition"), [("always", "any"), ("onFailure", "on-failure"), ("never", "none")]
)
def test_the_swarm_restarts_by_the_manifests_policy_but_not_in_a_hurry(policy: str, condition: str) -> None:
    found = request(restart={"policy": policy, "initialDelay": "1ms"})["TaskTemplate"]["RestartPolicy"]
    assert found == {"Condition": condition, "Delay": 1_000_000_000}


def test_limits_replicas_order_and_constraints() -> None:
    found = request(
        resources={"memory": "64Mi", "cpu": 0.5, "pids": 9}, replicas=3, nodes=[{"label": "kitchen"}]
    )
    limits = found["TaskTemplate"]["Resources"]["Limits"]
    assert limits == {"MemoryBytes": 64 * 2**20, "NanoCPUs": 500_000_000, "Pids": 9}
    assert found["Mode"] == {"Replicated": {"Replicas": 3}}
    assert found["UpdateConfig"]["Order"] == "start-first"
    assert request(update={"strategy": "recreate"})["UpdateConfig"]["Order"] == "stop-first"
    assert found["TaskTemplate"]["Placement"] == {"Constraints": ["node.labels.kitchen==true"]}
    assert request(nodes=["pi"])["TaskTemplate"]["Placement"] == {"Constraints": ["node.hostname==pi"]}


def test_the_labels_of_a_service_bring_it_back() -> None:
    said = labels.read_labels(request()["Labels"])
    assert said is not None and (said.instance, said.service, said.slot) == ("i1", on_swarm(), 0)
    assert labels.NODE not in str(request()["TaskTemplate"]["ContainerSpec"].get("Labels"))


@given(
    st.from_regex(
        r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?)?", fullmatch=True
    ),
    st.from_regex(r"[0-9a-f]{10}", fullmatch=True),
)
def test_every_service_gets_a_name_that_a_swarm_takes(service_id: str, instance: str) -> None:
    name = swarm_spec.service_name(NODE, service_id, instance)
    assert len(name) <= 63 and re.fullmatch(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*", name)
    assert instance in name


def test_an_engine_that_forgets_no_new_privileges_is_told_of() -> None:
    body = request()
    assert unenforced({"Spec": body}) == ()
    del body["TaskTemplate"]["ContainerSpec"]["Privileges"]
    assert unenforced({"Spec": body}) == (UNKNOWN_PRIVILEGES,)


# -- what is said of machines and tasks


@pytest.mark.parametrize(
    ("said", "manager", "address"),
    [
        ("10.0.0.7", "", "10.0.0.7"),
        ("fd00::7", "", "fd00::7"),
        ("127.0.0.1", "", ""),
        ("0.0.0.0", "10.0.0.1:2377", "10.0.0.1"),
        ("", "[fd00::1]:2377", "fd00::1"),
        ("::1", "127.0.0.1:2377", ""),
        ("224.0.0.1", "", ""),
        ("example.com", "", ""),
    ],
)
def test_an_address_that_means_this_machine_is_taken_from_nobody(
    said: str, manager: str, address: str
) -> None:
    status = {"State": "ready", "Addr": said}
    node = {"ID": "m", "Status": status, "ManagerStatus": {"Addr": manager} if manager else None}
    assert read_machines([node]) == {"m": Machine("m", address, up=True)}


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        ([{"PublishMode": "host", "PublishedPort": 32768}], 32768),
        ([{"PublishMode": "ingress", "PublishedPort": 80}], None),
        ([{"PublishMode": "host", "PublishedPort": 70000}], None),
        ([{"PublishMode": "host"}], None),
        (None, None),
    ],
)
def test_the_port_of_a_task(ports: Any, port: int | None) -> None:
    (found,) = read_tasks([{"ID": "t", "Status": {"State": "running", "PortStatus": {"Ports": ports}}}])
    assert (found.port, found.machine, found.slot) == (port, "", 0)


def test_words_of_other_machines_do_nothing_to_a_terminal() -> None:
    (found,) = read_tasks([{"ID": "t", "Status": {"Err": "\x1b[2Jbad\n" + "x" * 1000}}])
    machines = read_machines([{"ID": "m", "Description": {"Hostname": "pi\x07"}}])
    assert found.words.startswith(" [2Jbad x") and len(found.words) == 200
    assert machines == {"m": Machine("pi ", "", up=False)}


def test_requests_go_to_tasks_that_run_where_somebody_answers() -> None:
    tasks = [task(3), task(1), task(2, machine="m2"), task(4, **FAILED), task(5, state="starting")]
    at = Endpoint(host="10.0.0.1", port=32768)
    web, worker = on_swarm().manifest, on_swarm(port=None).manifest
    assert copies(web, tasks, MACHINES) == (Copy("t1", "one", at), Copy("t3", "one", at))
    assert copies(worker, [task(port=None)], MACHINES) == (Copy("t1", "one", None),)
    assert copies(web, [task(port=None)], MACHINES) == ()
    assert copies(web, [task(machine="m9")], MACHINES) == ()


def test_a_machine_that_nobody_can_be_sent_to_is_told_of() -> None:
    web, here = on_swarm().manifest, {"m1": Machine("one", "", up=True)}
    assert copies(web, [task(1)], here) == ()
    assert "--advertise-addr" in lacking(web, [task(1)], (), here)
    assert "--advertise-addr" not in lacking(web, [task(1, port=None)], (), here)


def test_what_is_lacking_says_why() -> None:
    manifest = on_swarm(replicas=2).manifest
    one = copies(manifest, [task(1)], MACHINES)
    assert lacking(manifest, [task(1), task(2)], (*one, *one), MACHINES) == ""
    pending = task(2, machine="", state="pending", words="no suitable node", port=None)
    assert lacking(manifest, [task(1), pending], one, MACHINES).endswith("connections: no suitable node")
    assert "two does not answer" in lacking(manifest, [task(1), task(2, **LOST)], one, MACHINES)
    failed = lacking(manifest, [task(1), task(2, **FAILED)], one, MACHINES)
    assert failed.startswith("1 of 2") and "task 2 on one failed: task: non-zero exit (3)" in failed


def test_each_task_that_is_lost_is_told_once() -> None:
    before, failed, lost = [task(1), task(2, machine="m2")], task(1, **FAILED), task(2, **LOST)
    assert failures(before, before, MACHINES) == []
    assert len(failures(before, [failed, lost], MACHINES)) == 2
    assert failures([failed, lost], [failed, lost, task(3)], MACHINES) == []
    # One that was asked to leave, by a machine that answers, is nothing that went wrong.
    assert failures([task(1)], [task(1, wanted="shutdown")], MACHINES) == []


@pytest.mark.parametrize(
    ("policy", "tasks", "expected"),
    [
        ("always", [task(1, state="complete")], None),
        ("never", [], None),
        ("never", [task(1)], None),
        ("never", [task(1, state="complete")], Exit(code=0)),
        ("never", [task(1, **FAILED)], Exit(code=3)),
        ("never", [task(1, **FAILED | {"code": 137})], Exit(signal=9)),
        ("onFailure", [task(1, **FAILED)], None),
        ("onFailure", [task(1, **FAILED), task(2, slot=1, state="complete")], Exit(code=0)),
    ],
    ids=range(8),
)
def test_how_a_service_ends_that_is_not_restarted(
    policy: str, tasks: list[Task], expected: Exit | None
) -> None:
    assert end(on_swarm(restart={"policy": policy}).manifest, tasks) == expected


def test_only_what_can_be_reached_is_waited_for() -> None:
    assert lingering([task(1, wanted="remove")], MACHINES)
    assert not lingering([task(1, wanted="remove", machine="m2")], MACHINES)
    assert not lingering([task(1, wanted="remove", state="shutdown")], MACHINES)
    assert not lingering([task(1, machine="", state="pending")], MACHINES)


# -- probes


class Asked:
    """A prober for which ports in `down` fail."""

    def __init__(self) -> None:
        self.down: set[int] = set()

    async def check(self, probe: Probe | None, running: Running) -> str | None:
        return f"{running.endpoint.port} is down" if running.endpoint.port in self.down else None

    async def elsewhere(self, running: Running) -> str:
        return ""


def test_all_tasks_have_to_pass_once_and_then_one_is_enough() -> None:
    of = on_swarm(replicas=2, probes={"readiness": {"httpGet": "/"}})
    running = Running("i1", of, 0, 0, Endpoint(port=0), 0.0, copies=())
    asked = Asked()

    async def asks() -> None:
        handle = Swarmed("i1", "s", running)

        class Known:
            def handle(self, _: Running) -> Swarmed:
                return handle

        prober = SwarmProber(Known(), asked)  # type: ignore[arg-type]
        probe = Probe(http_get=HttpGet())

        async def check(*down: int) -> str | None:
            asked.down = set(down)
            return await prober.check(probe, running)

        assert await check() == "no task was seen yet"
        handle.take(tuple(Copy(f"t{port}", "one", Endpoint(port=port)) for port in (1, 2)), "")
        assert await check(2) == "2 is down"
        assert await check() is None
        assert await check(2) is None, "the other one serves"
        assert await check(1, 2) is not None
        handle.take((), "0 of 2 tasks run")
        assert await check() == "0 of 2 tasks run"

    anyio.run(asks)
