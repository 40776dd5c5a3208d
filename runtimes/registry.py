"""All runtimes of a node, by the name that a manifest uses."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from runtimes.packages.late import LatePreparer
from runtimes.packages.native import NativePreparer
from runtimes.processes.process import ProcessRuntime

if TYPE_CHECKING:
    from runtimes.base import Runtime
    from runtimes.packages.workshop import Workshops
    from runtimes.preparer import Preparer
    from runtimes.processes.process import ProcessHost


def make_runtimes(host: ProcessHost, *others: Runtime) -> dict[str, Runtime]:
    """One for each kind of program, over the processes of one host; and those for containers, if any."""

    @cache
    def workshops() -> Workshops:
        from runtimes.packages.workshop import Workshops

        return Workshops(host.paths, host.networks, host.sandboxes.machine, host.users)

    def for_node() -> Preparer:
        from runtimes.packages.node import NodePreparer

        return NodePreparer(host.paths, workshops())

    def for_python() -> Preparer:
        from runtimes.packages.python import PythonPreparer

        return PythonPreparer(host.paths, workshops())

    preparers: dict[str, Preparer] = {
        "process": NativePreparer(host.paths),
        "node": LatePreparer(for_node),
        "python": LatePreparer(for_python),
    }
    made: dict[str, Runtime] = {
        name: ProcessRuntime(name, preparer, host) for name, preparer in preparers.items()
    }
    return {**made, **{runtime.name: runtime for runtime in others}}
