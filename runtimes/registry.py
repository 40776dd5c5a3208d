"""All runtimes of a node, by the name that a manifest uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtimes.packages.native import NativePreparer
from runtimes.packages.node import NodePreparer
from runtimes.packages.python import PythonPreparer
from runtimes.packages.workshop import Workshops
from runtimes.processes.process import ProcessRuntime

if TYPE_CHECKING:
    from runtimes.base import Runtime
    from runtimes.preparer import Preparer
    from runtimes.processes.process import ProcessHost


def make_runtimes(host: ProcessHost, *others: Runtime) -> dict[str, Runtime]:
    """One for each kind of program, over the processes of one host; and those for containers, if any."""
    workshops = Workshops(host.paths, host.networks, host.sandboxes.machine)
    preparers: dict[str, Preparer] = {
        "process": NativePreparer(host.paths),
        "node": NodePreparer(host.paths, workshops),
        "python": PythonPreparer(host.paths, workshops),
    }
    made: dict[str, Runtime] = {
        name: ProcessRuntime(name, preparer, host) for name, preparer in preparers.items()
    }
    return {**made, **{runtime.name: runtime for runtime in others}}
