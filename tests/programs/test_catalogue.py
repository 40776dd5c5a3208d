"""Programs that people run at home, from PyPI, npm and Debian.

Each is installed from a plain manifest, answers through the router, takes an edit, is adopted after kill -9
of its node, is replaced after a crash, has what was put there all along, and is stopped without a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.programs import catalogue_debian, catalogue_node, catalogue_python, system

if TYPE_CHECKING:
    from tests.programs.program import Program
    from tests.programs.trial import Trial

CATALOGUE = [*catalogue_python.PROGRAMS, *catalogue_node.PROGRAMS, *catalogue_debian.PROGRAMS]


@pytest.mark.programs
@pytest.mark.parametrize("program", CATALOGUE, ids=lambda program: program.id)
def test_program(trial: Trial, program: Program) -> None:
    trial.name, trial.version = program.name, program.version
    service = program.id
    if program.debian:
        system.program(*program.debian)
        trial.version = system.version(program.debian[1])

    def declare(edition: str) -> None:
        rest: dict[str, Any] = {"source": str(trial.root / service)} if program.files else {}
        rest |= {"command": program.command} if program.command else {}
        trial.manifest(service, **rest, **program.manifest, env={"EDITION": edition})

    def whole() -> None:
        program.answers(trial, service)
        if program.reads:
            program.reads(trial, service)

    with trial.step("installed"):
        trial.package(service, program.files)
        declare("1")
        trial.up()
        trial.installed(service)
    with trial.step("answers"):
        program.answers(trial, service)
    if program.writes:
        with trial.step("keeps"):
            program.writes(trial, service)
            whole()
    with trial.step("edited"):
        trial.rolled(service, lambda: declare("2"))
        whole()
    with trial.step("adopted"):
        trial.adopted(service, whole=False)
        whole()
    with trial.step("crashed"):
        trial.crashed(service)
        whole()
    with trial.step("stopped"):
        trial.stopped(service)
