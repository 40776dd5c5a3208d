"""What the kernel means where it did not start a program (execve(2)), in words that help. Pure.

Only what waiting cannot mend: too little memory or too many processes are another matter.
"""

from __future__ import annotations

import errno

from runtimes.base import PermanentFailure

#: What files begin with that other systems run.
_FOREIGN = {
    b"MZ": "a program for Windows",
    b"\xcf\xfa\xed\xfe": "a program for macOS",
    b"\xca\xfe\xba\xbe": "a program for macOS, or for Java",
    b"PK\x03\x04": "an archive",
    b"\x1f\x8b": "compressed",
}
_FIRST_LINE = "a script needs a first line such as #!/bin/sh"


def explain(number: int, path: str, head: bytes) -> PermanentFailure | None:
    """`number` is its errno, `head` what the program begins with. None where another time may be better."""
    if number == errno.ENOEXEC:
        what, hint = _format(head)
        return PermanentFailure(
            "NotExecutable", f"{path} is not what this machine can run: {what}", hint=hint
        )
    interpreter = _interpreter(head)
    if number == errno.EACCES:
        who = f"{path} is for {interpreter}, which" if interpreter else f"{path} is a file that"
        hint = "look at their permissions, and whether their disk is mounted with noexec"
        return PermanentFailure("NotExecutable", f"{who} this user may not execute", hint=hint)
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and interpreter:
        message = f"{path} is for {interpreter}, which is not where it runs"
        return PermanentFailure("InterpreterNotFound", message, hint="write its whole path behind #!")
    return None


def _interpreter(head: bytes) -> str:
    words = head[2:].split(b"\n")[0].split() if head.startswith(b"#!") else []
    return words[0].decode("utf-8", "replace") if words else ""


def _format(head: bytes) -> tuple[str, str]:
    if not head:
        return "it is empty", ""
    if head.startswith(b"\xef\xbb\xbf#!"):
        return "a byte order mark stands before its #!", "save it as UTF-8 without one"
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            return f"it is {what}", "take its build for Linux"
    if head.startswith(b"\x7fELF"):
        return "its ELF header is damaged", "fetch or build it again"
    return "it is no program, and names no interpreter", _FIRST_LINE
