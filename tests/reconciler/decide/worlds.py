"""Generated worlds: any service in any state, sensible or not. The planner has to be safe in all of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from manifests.model.manifest import Manifest
from manifests.model.service import Package, Service, make_service
from reconciler.decide.conditions import Verdict
from reconciler.decide.history import Completed, History, Keeps, Preparation, Rejected, Rollout
from reconciler.decide.lifecycle import State
from reconciler.decide.world import Instance, World

REVISIONS = ("a", "b", "c")
SLOTS = range(4)


def service(marker: str = "a", **manifest: Any) -> Service:
    """A service whose revision differs with `marker`; with `package` it has to be prepared first."""
    package = Package("/app", marker) if manifest.pop("package", False) else None
    document = {"id": "app", "command": ["run", marker], **manifest}
    declared = Manifest.model_validate(document)
    return make_service(
        declared, runtime="process", package=package, source="test", exports=declared.exports or ()
    )


@st.composite
def services(draw: st.DrawFn, marker: str | None = None) -> Service:
    return _service(
        marker or draw(st.sampled_from(REVISIONS)),
        package=draw(st.booleans()),
        replicas=draw(st.integers(0, 3)),
        policy=draw(st.sampled_from(["always", "onFailure", "never"])),
        strategy=draw(st.sampled_from(["rolling", "recreate", None])),
        grace=draw(st.sampled_from(["0s", "10s"])),
        drain=draw(st.sampled_from(["0s", "30s"])),
    )


@cache
def _service(
    marker: str, *, package: bool, replicas: int, policy: str, strategy: str | None, grace: str, drain: str
) -> Service:
    """Few enough to be made once each; validation would be most of the time of a run."""
    return service(
        marker,
        package=package,
        replicas=replicas,
        restart={"policy": policy},
        update={"strategy": strategy, "healthyDeadline": "60s", "drainTimeout": drain},
        stop={"gracePeriod": grace},
    )


times = st.integers(0, 200).map(float)


@st.composite
def instances(draw: st.DrawFn, number: int) -> Instance:
    state = draw(st.sampled_from([state for state in State if state is not State.EXITED]))
    ready_since = draw(st.none() | times)
    if state in (State.READY, State.UNREADY, State.DRAINING) and ready_since is None:
        ready_since = 0.0
    if state is State.STARTING:
        ready_since = None
    return Instance(
        id=f"i{number}",
        service=draw(services()),
        slot=draw(st.sampled_from(SLOTS)),
        state=state,
        since=draw(times),
        ready_since=ready_since,
        complaint="its liveness probe fails" if state is State.FAILING else "",
        fit=state is not State.FAILING and draw(st.integers(0, 3)) > 0,
    )


def _distinct(found: list[Instance]) -> tuple[Instance, ...]:
    """At most one copy of a revision in a slot, or two of which one leaves: what a node that kept its
    promises can see."""
    seen: dict[tuple[str, int, bool], Instance] = {}
    for instance in found:
        seen.setdefault((instance.revision, instance.slot, instance.leaving), instance)
    return tuple(seen.values())


verdicts = st.builds(Verdict, st.sampled_from(["Reason", "Other"]), st.just("because"))
preparations = st.builds(
    Preparation,
    done=st.just(False),
    failure=st.none() | verdicts,
    permanent=st.booleans(),
    attempts=st.integers(1, 5),
    retry_at=times,
) | st.just(Preparation(done=True))


@st.composite
def histories(draw: st.DrawFn) -> History:
    known = [draw(services(marker)) for marker in REVISIONS]
    revisions = st.sampled_from([each.revision for each in known])
    completed = st.builds(Completed, revisions, st.booleans(), st.just("exited with status 0"))
    crashes = draw(st.integers(0, 5))
    return History(
        crashes=crashes,
        crashed=draw(revisions) if crashes else "",
        restarts=crashes,
        last_failure="exited with status 1" if crashes else "",
        delay=draw(times) if crashes > 1 else 0.0,
        not_before=draw(times),
        rollout=draw(st.none() | st.builds(Rollout, revisions, times, st.integers(0, 3))),
        healthy=draw(st.none() | st.sampled_from(known)),
        rejected=draw(st.none() | st.builds(Rejected, revisions, verdicts)),
        keeps=draw(st.none() | st.builds(Keeps, revisions, st.sampled_from(["", "it keeps a file"]))),
        completed=draw(st.dictionaries(st.sampled_from(SLOTS), completed, max_size=2)),
        preparations=draw(st.dictionaries(revisions, preparations, max_size=3)),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(0, 5))
    return World(
        id="app",
        service=draw(st.none() | services()),
        instances=_distinct([draw(instances(number)) for number in range(count)]),
        history=draw(histories()),
        now=draw(times),
        known=draw(st.booleans()),
        observed=draw(st.integers(0, 5)) > 0,
        suspended=draw(st.integers(0, 5)) == 0,
        shutdown=draw(st.integers(0, 5)) == 0,
        problem=draw(st.none() | st.none() | verdicts),
        waiting_for=draw(st.sampled_from([(), (), ("db to be ready",)])),
        held_by=draw(st.sampled_from([(), ("web",)])),
    )
