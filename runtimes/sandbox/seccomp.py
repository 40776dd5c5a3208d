"""The system calls that nothing in a sandbox may make, as a filter for the kernel: pure, a value of bytes.

A table says what is denied, why, and with which errno: what libc and programs have another way for answers
ENOSYS, so that they take it, all else EPERM (as Flatpak's `syscall_blocklist` and Docker's default profile).
Numbers are those of the kernel's unistd_64.h, unistd_32.h, asm-generic/unistd.h and the Arm EABI's.

*private* leaves user namespaces alone, because Chromium, Electron and bubblewrap itself make their own
sandboxes from them, and 32-bit programs, whose table is here, too; the kernel does not let a nested namespace
undo what this one hides. *strict* leaves no way to any new namespace, and knows its own architecture only.

The program is classic BPF over `struct seccomp_data` (seccomp(2)); a search tree leads to each call's rule,
and calls without one, which are nearly all, are cached by the kernel as allowed (Linux 5.11).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Level = Literal["private", "strict"]

# seccomp(2), audit.h: what a filter answers, and how architectures are named.
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_ARCHITECTURES = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}
#: The 32-bit programs that a processor runs, too.
_SMALLER = {"x86_64": "i386", "aarch64": "arm"}
#: The x32 calls of an x86-64 kernel have this bit.
_X32 = 0x40000000
# Offsets in struct seccomp_data; of an argument of 64 bits its lower half (both architectures: first).
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# bpf_common.h: load a word; jump, or if equal, not below, any bit set; return.
_LOAD, _ALWAYS_JUMP, _EQUAL, _NOT_BELOW, _ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
#: Where a search goes on call by call.
_FEW = 4

# sched.h: new mount, cgroup, UTS, IPC, user, process and network namespaces; for unshare time, too.
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_NEW_TIME = 0x80
# ioctl_tty(2): put characters into a terminal's input, paste into a console's.
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
#: personality(2): Linux, its 32-bit kind, each with an old version's name; a question; no randomness (gdb).
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF)
# socket(2): Unix, IPv4, IPv6, netlink; what a home's programs speak besides: packets, CAN, Bluetooth.
_STRICT_FAMILIES = (1, 2, 10, 16)
_FAMILIES = (*_STRICT_FAMILIES, 17, 29, 31)

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Call:
    """One system call by its numbers; None where there is none of that name."""

    name: str
    x86_64: int | None
    i386: int | None
    aarch64: int | None
    arm: int | None

    def number(self, architecture: str) -> int | None:
        found: int | None = getattr(self, architecture)
        return found


#: The running kernel is the machine's.
_ALWAYS = (
    _Call("kexec_load", 246, 283, 104, 347),
    _Call("kexec_file_load", 320, None, 294, 401),
    _Call("init_module", 175, 128, 105, 128),
    _Call("finit_module", 313, 350, 273, 379),
    _Call("delete_module", 176, 129, 106, 129),
    _Call("reboot", 169, 88, 142, 88),
    _Call("swapon", 167, 87, 224, 87),
    _Call("swapoff", 168, 115, 225, 115),
    _Call("acct", 163, 51, 89, 51),
    _Call("quotactl", 179, 131, 60, 131),
    _Call("quotactl_fd", 443, 443, 443, 443),
    _Call("syslog", 103, 103, 116, 103),
    # The hardware.
    _Call("iopl", 172, 110, None, None),
    _Call("ioperm", 173, 101, None, None),
    # Large, and where most ways into the kernel were found.
    _Call("bpf", 321, 357, 280, 386),
    _Call("perf_event_open", 298, 336, 241, 364),
    _Call("userfaultfd", 323, 374, 282, 388),
    # Keyrings are a user's, not a process's: other services' keys are in them.
    _Call("add_key", 248, 286, 217, 309),
    _Call("request_key", 249, 287, 218, 310),
    _Call("keyctl", 250, 288, 219, 311),
    # Opens files past every mount.
    _Call("open_by_handle_at", 304, 342, 265, 371),
    # Nobody has used them for long.
    _Call("uselib", 134, 86, None, 86),
    _Call("sysfs", 139, 135, None, 135),
    _Call("_sysctl", 156, 149, None, 149),
    _Call("nfsservctl", 180, 169, 42, 169),
    _Call("lookup_dcookie", 212, 253, 18, 249),
    _Call("vm86", None, 166, None, None),
    _Call("vm86old", None, 113, None, None),
)
_STRICT = (
    # What is mounted, and new roots.
    _Call("mount", 165, 21, 40, 21),
    _Call("umount", None, 22, None, None),
    _Call("umount2", 166, 52, 39, 52),
    _Call("pivot_root", 155, 217, 41, 218),
    _Call("chroot", 161, 61, 51, 61),
    _Call("setns", 308, 346, 268, 375),
    # Other processes' memory.
    _Call("ptrace", 101, 26, 117, 26),
    # The machine's clock, name and consoles.
    _Call("settimeofday", 164, 79, 170, 79),
    _Call("clock_settime", 227, 264, 112, 262),
    _Call("clock_settime64", None, 404, None, 404),
    _Call("stime", None, 25, None, None),
    _Call("sethostname", 170, 74, 161, 74),
    _Call("setdomainname", 171, 121, 162, 121),
    _Call("vhangup", 153, 111, 58, 111),
    # Segments of 16 bits; every file system's events.
    _Call("modify_ldt", 154, 123, None, None),
    _Call("fanotify_init", 300, 338, 262, 367),
)
#: A kernel that has not got them is what programs are prepared for. clone3's flags cannot be looked into.
_STRICT_UNKNOWN = (
    _Call("clone3", 435, 435, 435, 435),
    _Call("open_tree", 428, 428, 428, 428),
    _Call("move_mount", 429, 429, 429, 429),
    _Call("fsopen", 430, 430, 430, 430),
    _Call("fsconfig", 431, 431, 431, 431),
    _Call("fsmount", 432, 432, 432, 432),
    _Call("fspick", 433, 433, 433, 433),
    _Call("mount_setattr", 442, 442, 442, 442),
    _Call("open_tree_attr", 467, 467, 467, 467),
    _Call("io_uring_setup", 425, 425, 425, 425),
    _Call("io_uring_enter", 426, 426, 426, 426),
    _Call("io_uring_register", 427, 427, 427, 427),
)
_IOCTL = _Call("ioctl", 16, 54, 29, 54)
_PERSONALITY = _Call("personality", 135, 136, 92, 136)
#: The 32-bit x86 reaches it by socketcall, too, whose arguments nobody can look into.
_SOCKET = _Call("socket", 41, 359, 198, 281)
_CLONE = _Call("clone", 56, 120, 220, 120)
_UNSHARE = _Call("unshare", 272, 310, 97, 337)


def filter_for(level: Level, machine: str) -> bytes | None:
    """The program for bubblewrap's --seccomp on that machine (`uname -m`); None where there is none."""
    return _assembled(level, machine) if machine in _SMALLER else None


def denied(level: Level) -> Mapping[str, int]:
    """The calls that are refused whatever their arguments, each with the errno that they answer."""
    return {call.name: number for call, number in _denied(level)}


@cache
def _assembled(level: Level, machine: str) -> bytes:
    own = _calls(level, machine)
    smaller = _SMALLER[machine]
    other = _calls(level, smaller) if level == "private" else [_return(_KILL)]
    program = [
        _load(_ARCHITECTURE),
        _jump(_EQUAL, _ARCHITECTURES[machine], 1, 0), (_ALWAYS_JUMP, 0, 0, len(own)),
        *own,
        _jump(_EQUAL, _ARCHITECTURES[smaller], 1, 0), _return(_KILL),
        *other,
    ]  # fmt: skip
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _denied(level: Level) -> list[tuple[_Call, int]]:
    calls = [(call, errno.EPERM) for call in _ALWAYS]
    if level == "strict":
        calls += [(call, errno.EPERM) for call in _STRICT]
        calls += [(call, errno.ENOSYS) for call in _STRICT_UNKNOWN]
    return calls


def _calls(level: Level, architecture: str) -> list[_Instruction]:
    """From the number of a call to its answer."""
    rules: dict[int, Sequence[_Instruction]] = {}

    def add(call: _Call, *answer: _Instruction) -> None:
        if (number := call.number(architecture)) is not None:
            rules[number] = answer

    for call, number in _denied(level):
        add(call, _refuse(number))
    add(_IOCTL, *_unless(1, (_TIOCSTI, _TIOCLINUX), errno.EPERM))
    add(_PERSONALITY, *_only(0, _PERSONALITIES, errno.EPERM))
    families = _STRICT_FAMILIES if level == "strict" else _FAMILIES
    add(_SOCKET, *_only(0, families, errno.EAFNOSUPPORT))
    if level == "strict":
        add(_CLONE, *_no_bit(0, _NAMESPACES, errno.EPERM))
        add(_UNSHARE, *_no_bit(0, _NAMESPACES | _NEW_TIME, errno.EPERM))
    x32 = [_jump(_NOT_BELOW, _X32, 0, 1), _refuse(errno.ENOSYS)] if architecture == "x86_64" else []
    return [_load(_NUMBER), *x32, *_search(sorted(rules.items()))]


def _search(rules: Sequence[tuple[int, Sequence[_Instruction]]]) -> list[_Instruction]:
    """Halves until a few are left; a jump reaches 255 instructions."""
    if len(rules) <= _FEW:
        found: list[_Instruction] = []
        for number, answer in rules:
            found += [_jump(_EQUAL, number, 0, len(answer)), *answer]
        return [*found, _return(_ALLOW)]
    middle = len(rules) // 2
    below, above = _search(rules[:middle]), _search(rules[middle:])
    return [_jump(_NOT_BELOW, rules[middle][0], len(below), 0), *below, *above]


def _unless(argument: int, values: Sequence[int], number: int) -> list[_Instruction]:
    """Refused with one of these values."""
    tests = [_jump(_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)]
    return [_load_argument(argument), *tests, _return(_ALLOW), _refuse(number)]


def _only(argument: int, values: Sequence[int], number: int) -> list[_Instruction]:
    """Refused without one of these values."""
    tests = [_jump(_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)]
    return [_load_argument(argument), *tests, _refuse(number), _return(_ALLOW)]


def _no_bit(argument: int, bits: int, number: int) -> list[_Instruction]:
    """Refused with any of these bits."""
    return [_load_argument(argument), _jump(_ANY_BIT, bits, 0, 1), _refuse(number), _return(_ALLOW)]


def _load(offset: int) -> _Instruction:
    return (_LOAD, 0, 0, offset)


def _load_argument(argument: int) -> _Instruction:
    return _load(_ARGUMENTS + 8 * argument)


def _jump(condition: int, value: int, true: int, false: int) -> _Instruction:
    return (condition, true, false, value)


def _return(answer: int) -> _Instruction:
    return (_RETURN, 0, 0, answer)


def _refuse(number: int) -> _Instruction:
    return _return(_ERRNO | number)
