"""Supervises one running instance: probes it, and waits for its end.

Times and thresholds are Kubernetes', with one difference: until an instance has passed once, its check is
repeated quickly (from 1 ms, growing up to the probe's period), because a home node's service that is up
after 30 ms should serve after 30 ms and not at the end of a 10 s period. A look at an endpoint costs little,
so it comes at the latest when a quarter more of the time has passed; other checks double their pause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from reconciler.decide.lifecycle import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from manifests.model.spec import Probe
    from runtimes.base import Exit, Running, Runtime
    from runtimes.probes import Prober

    #: Called with what happened and why.
    Happened = Callable[[Event, str], None]

#: Seconds that a program without readiness has to stay up to count as ready (supervisord's startsecs): a new
#: revision that exits at once must not take the old one's place.
STEADY = 1.0
#: First and longest pause between two looks at an endpoint that does not accept connections yet, seconds.
FIRST_LOOK, LONGEST_LOOK = 0.001, 0.25
#: How much longer each pause is than the one before: for an endpoint of this machine, and for all else.
GROWTH, DOUBLING = 1.25, 2.0
#: Seconds between two looks at what the engine found by an image's own check.
OWN_CHECK = 0.5
#: Seconds. A program that takes longer to be ready may have something wrong with it.
A_MOMENT = 1.0
#: Longest pause between two searches for where it listens instead, seconds.
LONGEST_SEARCH = 30.0


async def supervise(running: Running, runtime: Runtime, prober: Prober, happened: Happened) -> Exit:
    """Reports probe results through `happened` until the instance has ended; returns how it did."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_probe, running, prober, happened)
        exit = await runtime.wait(running)
        tasks.cancel_scope.cancel()
    return exit


async def _probe(running: Running, prober: Prober, happened: Happened) -> None:
    probes = running.service.manifest.probes
    if probes.startup and not await _started(running, prober, probes.startup, happened):
        return
    if probes.readiness != "none":
        how = "its readiness probe fails" if probes.readiness else "it accepts no connection"
        await _first_pass(running, prober, probes.readiness, _complaint(happened, how))
    elif running.copies is None:
        await anyio.sleep(STEADY)
    else:
        # Its cluster knows whether they stay up.
        await _first_pass(running, prober, None, _complaint(happened, "not all of its tasks run"))
    happened(Event.PASS, "")
    async with anyio.create_task_group() as tasks:
        if probes.readiness is not None and probes.readiness != "none":
            tasks.start_soon(_readiness, running, prober, probes.readiness, happened)
        elif probes.readiness is None and running.checked:
            tasks.start_soon(_own_check, running, prober, happened)
        if probes.liveness:
            tasks.start_soon(_liveness, running, prober, probes.liveness, happened)


def _complaint(happened: Happened, how: str) -> Callable[[str], None]:
    return lambda failure: happened(Event.FAIL, f"{how}: {failure}")


async def _started(running: Running, prober: Prober, probe: Probe, happened: Happened) -> bool:
    """Whether the startup probe succeeded within its failureThreshold × periodSeconds."""
    with anyio.move_on_after(probe.initial_delay_seconds + probe.failure_threshold * probe.period_seconds):
        await _first_pass(running, prober, probe, _complaint(happened, "its startup probe fails"))
        return True
    happened(Event.CONDEMN, "its startup probe never succeeded")
    return False


async def _first_pass(
    running: Running, prober: Prober, probe: Probe | None, failing: Callable[[str], None]
) -> None:
    """Returns after successThreshold successes in a row (one, for an endpoint).

    `failing` hears why there is none yet, when it takes longer than a moment.
    """
    longest = probe.period_seconds if probe else LONGEST_LOOK
    needed = probe.success_threshold if probe else 1
    cheap = probe is None and not running.container and running.copies is None
    if probe:
        await anyio.sleep(probe.initial_delay_seconds)
    pause, passed, told_from = FIRST_LOOK, 0, anyio.current_time() + A_MOMENT
    elsewhere = _Elsewhere(running, prober, told_from)
    while True:
        failure = await prober.check(probe, running)
        passed = 0 if failure else passed + 1
        if passed >= needed:
            return
        if failure and anyio.current_time() >= told_from:
            failing("; ".join(filter(None, (failure, await elsewhere.told()))))
        await anyio.sleep(min(pause, longest))
        pause *= GROWTH if cheap else DOUBLING


class _Elsewhere:
    """Where a program listens that is not found where it should: looked at less and less often."""

    def __init__(self, running: Running, prober: Prober, since: float) -> None:
        self._running = running
        self._prober = prober
        self._due = since
        self._pause = A_MOMENT
        self._told = ""

    async def told(self) -> str:
        now = anyio.current_time()
        if now >= self._due:
            self._told = await self._prober.elsewhere(self._running)
            self._due, self._pause = now + self._pause, min(2 * self._pause, LONGEST_SEARCH)
        return self._told


async def _readiness(running: Running, prober: Prober, probe: Probe, happened: Happened) -> None:
    passed = failed = 0
    while True:
        await anyio.sleep(probe.period_seconds)
        failure = await prober.check(probe, running)
        passed, failed = (0, failed + 1) if failure else (passed + 1, 0)
        if failure and failed >= probe.failure_threshold:
            happened(Event.FAIL, f"its readiness probe fails: {failure}")
        elif not failure and passed >= probe.success_threshold:
            happened(Event.PASS, "")


async def _own_check(running: Running, prober: Prober, happened: Happened) -> None:
    """What the engine finds has passed its image's thresholds already."""
    while True:
        await anyio.sleep(OWN_CHECK)
        if failure := await prober.check(None, running):
            happened(Event.FAIL, failure)
        else:
            happened(Event.PASS, "")


async def _liveness(running: Running, prober: Prober, probe: Probe, happened: Happened) -> None:
    failed = 0
    await anyio.sleep(probe.initial_delay_seconds)
    while True:
        await anyio.sleep(probe.period_seconds)
        failure = await prober.check(probe, running)
        failed = failed + 1 if failure else 0
        if failure and failed >= probe.failure_threshold:
            happened(Event.CONDEMN, f"its liveness probe fails: {failure}")
            return
