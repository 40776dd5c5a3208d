"""Why bubblewrap cannot do its work here, in words, with the knob that keeps it from that. Pure.

What bubblewrap says tells little (a forbidden namespace is "Permission denied" in four places), so the
machine's settings are asked first.
"""

from __future__ import annotations

from dataclasses import dataclass

UNAVAILABLE = "SandboxUnavailable"

#: As AppArmor 4 wants it of a program that may make user namespaces (Ubuntu 23.10 and later).
APPARMOR_PROFILE = """\
abi <abi/4.0>,
include <tunables/global>

profile bwrap {bwrap} flags=(unconfined) {{
  userns,

  include if exists <local/bwrap>
}}
"""


@dataclass(frozen=True, slots=True)
class Knobs:
    """Settings of a machine that forbid namespaces; None where there is no such setting.

    `container`: what kind of container the node itself is in, if any.
    """

    namespaces: int | None = None
    unprivileged: int | None = None
    apparmor: int | None = None
    selinux: int | None = None
    container: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One sentence, and what to do."""

    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


MISSING = Trouble("bubblewrap is not installed", "apt install bubblewrap, or your distribution's package")


def diagnose(said: str, knobs: Knobs, *, bwrap: str, root: bool) -> Trouble:
    """What bubblewrap's failure means. `said` is what it printed, `root` whether the node is root's."""
    if "Unknown option" in said:
        what = said.rpartition(" ")[2].strip()
        return Trouble(f"{bwrap} is too old: it does not know {what}", "update the package bubblewrap")
    if knobs.container and (root or knobs.apparmor != 1):
        return _in_container(said, knobs.container)
    return (None if root else _forbidden(knobs, bwrap)) or _exhausted(said, knobs) or _unknown(said)


def _in_container(said: str, container: str) -> Trouble:
    if "proc" in said:
        hint = "run it with --security-opt systempaths=unconfined (Docker) or unmask=ALL (Podman)"
        return Trouble(f"this node runs in a container ({container}) which hides parts of /proc", hint)
    hint = "run it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    return Trouble(f"this node runs in a container ({container}) which may not make namespaces", hint)


def _forbidden(knobs: Knobs, bwrap: str) -> Trouble | None:
    if knobs.namespaces == 0:
        return Trouble(
            "user.max_user_namespaces = 0 forbids user namespaces",
            "sudo sysctl user.max_user_namespaces=28633, and the same line in /etc/sysctl.d/atek.conf",
        )
    if knobs.unprivileged == 0:
        return Trouble(
            "kernel.unprivileged_userns_clone = 0 leaves user namespaces to root",
            "sudo sysctl kernel.unprivileged_userns_clone=1, and the same line in /etc/sysctl.d/atek.conf",
        )
    if knobs.apparmor == 1:
        return Trouble(
            "kernel.apparmor_restrict_unprivileged_userns = 1 leaves user namespaces to programs with a "
            "profile",
            profile_command(bwrap),
        )
    if knobs.selinux == 1:
        return Trouble("SELinux's deny_userns forbids user namespaces", "sudo setsebool -P deny_userns off")
    return None


def profile_command(bwrap: str) -> str:
    """Installs the profile, in one line for a shell."""
    profile = APPARMOR_PROFILE.format(bwrap=bwrap).replace("\n", "\\n")
    file = "/etc/apparmor.d/bwrap"
    return f"printf '{profile}' | sudo tee {file} && sudo apparmor_parser -r {file}"


def _exhausted(said: str, knobs: Knobs) -> Trouble | None:
    if "ENOSPC" not in said and "No space left" not in said:
        return None
    limit = "" if knobs.namespaces is None else f" (user.max_user_namespaces = {knobs.namespaces})"
    return Trouble(
        f"there are as many namespaces as this machine allows{limit}", "raise user.max_*_namespaces by sysctl"
    )


def _unknown(said: str) -> Trouble:
    line = next((line for line in said.splitlines() if line.strip()), "")
    printable = "".join(each for each in line if each.isprintable())[:300]
    return Trouble(printable or "bubblewrap fails, and does not say why", "try: bwrap --bind / / true")
