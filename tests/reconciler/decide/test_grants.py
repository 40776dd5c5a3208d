"""What may run of a service that asks for something, and which services of a source are too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from manifests.model.manifest import Manifest
from manifests.model.policy import Policy
from manifests.model.service import Service, make_service
from reconciler.decide.conditions import Verdict
from reconciler.decide.counts import Counted, too_many
from reconciler.decide.grants import FORBIDDEN, GRANT_REQUIRED, OPEN, demanded, gate
from reconciler.decide.history import History
from runtimes.processes.enforcement import Enforcement
from tests.reconciler.decide.decisions import A, B, decide, instance, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLLOW = Policy(trust="foreign")


def manifest(**keys: Any) -> Manifest:
    return Manifest.model_validate(
        {"id": "app", "runtime": "node", "source": "/a", "sandbox": "strict", **keys}
    )


def service(source: str = "laptop", **keys: Any) -> Service:
    return make_service(manifest(**keys), runtime="node", package=None, source=source)


PORT = service(port=80)


def test_nothing_asked_for_is_open() -> None:
    assert gate(FOLLOW, manifest(), (), [service()], "laptop") == OPEN
    assert gate(Policy(), manifest(port=80), (), [service(sandbox="none")], "laptop") == OPEN
    assert gate(Policy(trust="own"), manifest(port=80), (), [service(sandbox="none")], "laptop") == OPEN


def test_what_is_missing_is_said_and_what_ran_without_it_runs_on() -> None:
    found = gate(FOLLOW, manifest(port=80), (), [service()], "laptop")
    assert found.problem and found.problem.reason == GRANT_REQUIRED and not found.barred
    granted = gate(FOLLOW, manifest(port=80), ["port:80"], [PORT, service()], "laptop")
    assert (
        granted.problem is None and not granted.barred and [each.id for each in granted.rights] == ["port:80"]
    )


def test_what_ran_with_what_it_has_no_more_is_barred() -> None:
    assert gate(FOLLOW, manifest(port=80), (), [PORT, service()], "laptop").barred == {PORT.revision}
    # Also where what is wanted now asks for nothing.
    assert gate(FOLLOW, manifest(), (), [PORT], "laptop").barred == {PORT.revision}
    for sandbox in (None, "none", "private"):
        before = service(sandbox=sandbox)
        assert gate(FOLLOW, manifest(), (), [before], "laptop").barred == {before.revision}
    assert not gate(FOLLOW, manifest(), ["sandbox:private"], [service(sandbox="private")], "laptop").barred


def test_what_ran_of_another_source_is_not_what_was_granted() -> None:
    other = service("files", port=80, env={"A": "b"})
    assert gate(FOLLOW, manifest(port=80), (), [other], "laptop").barred == {other.revision}
    # Once it may run it takes over as any other does.
    assert not gate(FOLLOW, manifest(port=80), ["port:80"], [other], "laptop").barred


def test_one_too_many_says_so() -> None:
    found = gate(FOLLOW, manifest(), (), (), "laptop", "its source may bring 1")
    assert found.problem and (found.problem.reason, found.problem.message) == (
        FORBIDDEN,
        "its source may bring 1",
    )


def test_limits_that_nothing_keeps_to_are_said_and_the_service_does_not_run() -> None:
    found = gate(FOLLOW, manifest(), (), (), "laptop", lacking=["cpu"])
    assert (
        found.problem
        and found.problem.reason == "LimitsUnenforceable"
        and "limit cpu" in found.problem.message
    )
    here = Enforcement(memory="sampling", pids="sampling", open_files="kernel")
    for trust in ("own", "foreign"):
        assert here.lacking(demanded(Policy(trust=trust, cpu=0.5), manifest())) == ("cpu",)
    # What nobody demands, what an engine keeps to, and what was followed before.
    assert here.lacking(demanded(FOLLOW, manifest(resources={"cpu": 0.5}))) == ()
    assert here.lacking(demanded(Policy(cpu=0.5), manifest())) == ()
    container = Manifest.model_validate({"id": "app", "image": "nginx"})
    assert here.lacking(demanded(Policy(trust="foreign", cpu=0.5), container)) == ()


def test_what_is_barred_is_stopped_and_nothing_comes_back_to_it() -> None:
    problem, barred = Verdict(GRANT_REQUIRED, "it asks"), frozenset({A.revision})
    healthy = History(healthy=A)
    found = decide(None, instance("i", A), history=healthy, problem=problem, barred=barred)
    assert summary(found) == ["stop i NotGranted"]
    assert summary(decide(None, history=healthy, problem=problem, barred=barred)) == []
    # Without it what served before would come back.
    assert summary(decide(None, history=healthy, problem=problem)) != []
    # A revision that may run takes its place, and not after it is ready: what is barred ends at once.
    found = decide(B, instance("i", A), history=healthy, barred=barred)
    assert "stop i NotGranted" in summary(found)


_COUNTED = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5))
)


@given(_COUNTED, st.integers(0, 5), st.integers(0, 9), st.sampled_from("abcdefgh"), st.integers(0, 9))
def test_nobody_new_and_nobody_larger_takes_the_place_of_one_that_runs(
    services: dict[str, tuple[int, int | None]], most: int, instances: int, new: str, replicas: int
) -> None:
    policy = Policy(services=most, replicas=instances)

    def over(those: Mapping[str, tuple[int, int | None]]) -> set[str]:
        return set(too_many(policy, [Counted(each, *rest) for each, rest in those.items()]))

    kept = services.keys() - over(services)
    assert len(kept) <= most and sum(services[each][0] for each in kept) <= instances
    # What was let in runs; then one comes, or wants to be more.
    running = {each: (services[each][0], services[each][0]) for each in kept}
    assert not over(running)
    has = running[new][1] if new in running else None
    assert over({**running, new: (replicas, has)}) <= {new}


def test_the_first_by_id_that_fit() -> None:
    policy = Policy(replicas=3)
    found = too_many(policy, [Counted("b", 2), Counted("a", 2), Counted("c", 1)])
    assert list(found) == ["b"] and "3 instances" in found["b"]
    assert too_many(Policy(), [Counted("a", 100)]) == {}
    assert len(too_many(FOLLOW, [Counted(f"s{number}", 1) for number in range(30)])) == 20
