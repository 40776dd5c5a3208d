"""What this machine can hold a service to: a value for whoever decides whether it may run here. Pure.

`kernel`: it cannot be exceeded. `sampling`: whoever exceeds it is ended, a few seconds later. Empty: nothing
keeps to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from manifests.model.spec import Resources

How = Literal["kernel", "sampling", ""]

#: Seconds between two looks at what an instance takes.
SAMPLING_PERIOD = 5.0


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How each limit of `Resources` holds on this machine."""

    memory: How = ""
    cpu: How = ""
    pids: How = ""
    open_files: How = ""
    disk: How = "sampling"
    log_rate: How = "sampling"

    def lacking(self, wanted: Resources) -> tuple[str, ...]:
        """The limits that are asked for and that nothing here keeps to, by their keys."""
        return self._those(wanted, "")

    def sampled(self, wanted: Resources) -> tuple[str, ...]:
        """Those that are kept to by looking."""
        return self._those(wanted, "sampling")

    def _those(self, wanted: Resources, how: How) -> tuple[str, ...]:
        asked = (name for name, value in wanted if value is not None)
        return tuple(wanted.key_of(name) for name in asked if getattr(self, name) == how)

    def sentence(self, wanted: Resources) -> str:
        """How what was asked for is kept to, where that is not by the kernel; may be empty."""
        sampled = self.sampled(wanted)
        period = f"{SAMPLING_PERIOD:g} s"
        return f"{' and '.join(sampled)} by sampling every {period}" if sampled else ""

    def describe(self) -> str:
        """All of it, for `atek doctor`."""
        named = {"memory": self.memory, "cpu": self.cpu, "pids": self.pids}
        by_kernel = [name for name, how in named.items() if how == "kernel"]
        sampled = [name for name, how in named.items() if how == "sampling"]
        missing = [name for name, how in named.items() if not how]
        parts = [
            f"{', '.join(by_kernel)} by the kernel" if by_kernel else "",
            f"{', '.join(sampled)} by sampling every {SAMPLING_PERIOD:g} s" if sampled else "",
            f"{', '.join(missing)} not at all" if missing else "",
        ]
        return "; ".join(filter(None, parts))
