"""Whether this machine can keep programs apart: bubblewrap is tried, once, with the words that it will get.

What worked is remembered until a start finds otherwise (`forget`); what did not is tried again each time
somebody asks, since a person may have turned the knob meanwhile. A trial takes some milliseconds.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runtimes.sandbox.command import KEPT_CAPABILITIES, System, View, is_below, words
from runtimes.sandbox.seccomp import filter_for
from runtimes.sandbox.troubles import MISSING, Knobs, Trouble, diagnose

#: Runs a command with /dev/null as its input; its status and what it printed. Raises OSError.
Run = Callable[[Sequence[str]], tuple[int, str]]
#: Seconds that a trial may take.
_LONGEST = 10.0
#: Where a daemon's PATH may not lead.
_USUAL = "/usr/local/bin:/usr/bin:/bin"
_USER = Path("/proc/sys/user")
_KERNEL = Path("/proc/sys/kernel")


@dataclass(frozen=True, slots=True)
class Facts:
    """What this machine can do; where it cannot, why. `bwrap` is empty when there is none."""

    bwrap: str = ""
    private: Trouble | None = MISSING
    strict: Trouble | None = MISSING

    def trouble(self, level: str) -> Trouble | None:
        """None for a level that can be had."""
        return {"private": self.private, "strict": self.strict}.get(level)


def run(line: Sequence[str]) -> tuple[int, str]:
    """For those who start no services themselves."""
    done = subprocess.run(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=_LONGEST, env=trial_environment(), check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace")


def trial_environment() -> dict[str, str]:
    """Bubblewrap's messages in English, nothing else."""
    return {"PATH": _USUAL, "LC_ALL": "C"}


class Machine:
    """This machine, as `run` finds it."""

    def __init__(self, run: Run = run) -> None:
        self._run = run
        self._facts: Facts | None = None

    @property
    def remembered(self) -> Facts | None:
        """None where it is to be found out, again perhaps."""
        known = self._facts
        return known if known is not None and known.private is None and known.strict is None else None

    def facts(self) -> Facts:
        """Blocks for a moment where nothing is remembered."""
        if (known := self.remembered) is not None:
            return known
        self._facts = self._look()
        return self._facts

    def forget(self) -> None:
        """A start failed that should not have."""
        self._facts = None

    def _look(self) -> Facts:
        found = shutil.which("bwrap") or shutil.which("bwrap", path=_USUAL)
        if found is None:
            return Facts()
        facts = Facts(found, self._trouble(found, "private"), None)
        strict = facts.private or _no_filter() or self._trouble(found, "strict")
        return replace(facts, strict=strict)

    def _trouble(self, bwrap: str, level: str) -> Trouble | None:
        """The trial. Its input, /dev/null, is a descriptor to mount."""
        root = os.geteuid() == 0
        if level == "strict":
            view = View("strict", "/", (), system=find_system())
        else:
            view = View("private", "/", (), capabilities=own_capabilities() if root else None)
        trial = ["--ro-bind-fd", "0", "/dev/null", "cat", "/proc/self/status"]
        try:
            code, said = self._run([bwrap, *words(view, seccomp=None, status=None), *trial])
        except (OSError, subprocess.SubprocessError) as error:
            return Trouble(f"{bwrap} cannot be run: {error}", "reinstall the package bubblewrap")
        if code:
            return diagnose(said, read_knobs(), bwrap=bwrap, root=root)
        return (
            None if _is_bound(said) else Trouble(f"{bwrap} leaves a program its rights", "update bubblewrap")
        )


def own_capabilities() -> int:
    """Those of this process, a bit each."""
    return _capabilities(Path("/proc/self/status").read_text())


def _capabilities(status: str) -> int:
    found = re.search(r"^CapPrm:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else -1


def _is_bound(status: str) -> bool:
    """Whether a process has no other capabilities than it may keep, and gets no more (proc_pid_status(5))."""
    kept = sum(1 << bit for bit in KEPT_CAPABILITIES.values())
    gets_none = re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE)
    return gets_none is not None and _capabilities(status) & ~kept == 0


def _no_filter() -> Trouble | None:
    machine = os.uname().machine
    if filter_for("strict", machine) is not None:
        return None
    return Trouble(f"there is no filter of system calls for {machine}", "x86_64 and aarch64 have one")


def read_knobs() -> Knobs:
    """As they are now."""
    return Knobs(
        namespaces=_number(_USER / "max_user_namespaces"),
        unprivileged=_number(_KERNEL / "unprivileged_userns_clone"),
        apparmor=_number(_KERNEL / "apparmor_restrict_unprivileged_userns"),
        selinux=_number(Path("/sys/fs/selinux/booleans/deny_userns")),
        container=_container(),
    )


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _container() -> str:
    """By what engines leave in their containers, and systemd for its own (systemd's Container Interface)."""
    if os.path.exists("/.dockerenv"):
        return "Docker"
    if os.path.exists("/run/.containerenv"):
        return "Podman"
    with suppress(OSError):
        return Path("/run/systemd/container").read_text().strip()
    return ""


#: Of /etc what programs need to know names, certificates, the time of day and their libraries; no keys.
_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "gai.conf",
    "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "locale.alias",
    "locale.conf", "mime.types", "nsswitch.conf", "os-release", "pki/ca-trust", "pki/tls/certs",
    "pki/tls/cert.pem", "pki/tls/openssl.cnf", "protocols", "resolv.conf", "services", "ssl/certs",
    "ssl/cert.pem", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
#: Where distributions keep programs: links into /usr on most of them. The last two are Nix's and Guix's.
_PROGRAMS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
#: As in containers (the OCI runtime's masked paths): the kernel's keys, timers and memory, the hardware.
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore", "/proc/key-users",
    "/proc/keys", "/proc/kmsg", "/proc/latency_stats", "/proc/modules", "/proc/sched_debug", "/proc/scsi",
    "/proc/slabinfo", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats",
)  # fmt: skip


#: Bytes of a file that is copied instead of mounted: the copy takes memory, for each program.
_SHORT = 16384


def find_system() -> System:
    """What of this machine's system there is to show."""
    links = [(path, os.readlink(path)) for path in _PROGRAMS if os.path.islink(path)]
    linked = {path for path, _ in links}
    folders = ["/usr", *(path for path in _PROGRAMS if os.path.isdir(path) and path not in linked)]
    programs, copied = tuple(folders), []
    for path in (f"/etc/{name}" for name in _ETC):
        try:
            found = os.stat(path)
        except OSError:
            continue
        if os.path.islink(path) and is_below(real := os.path.realpath(path), programs):
            links.append((path, real))
        elif stat.S_ISREG(found.st_mode) and found.st_size <= _SHORT:
            copied.append(path)
        else:
            folders.append(path)
    masked = tuple((path, os.path.isdir(path)) for path in _MASKED if os.path.exists(path))
    return System(tuple(folders), tuple(copied), tuple(links), masked)
