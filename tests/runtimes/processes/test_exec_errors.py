"""Programs that the kernel refused: what each of its answers means for a person."""

from __future__ import annotations

import errno

import pytest

from runtimes.processes.exec_errors import explain


@pytest.mark.parametrize(
    ("number", "head", "words"),
    [
        (errno.ENOEXEC, b"", "it is empty"),
        (errno.ENOEXEC, b"echo hi\n", "names no interpreter (a script needs a first line such as #!/bin/sh)"),
        (errno.ENOEXEC, b"#!\n", "names no interpreter"),
        (errno.ENOEXEC, b"\xef\xbb\xbf#!/bin/sh\n", "a byte order mark stands before its #!"),
        (errno.ENOEXEC, b"MZ\x90\0", "it is a program for Windows"),
        (errno.ENOEXEC, b"\xcf\xfa\xed\xfe\x07", "it is a program for macOS (take its build for Linux)"),
        (errno.EACCES, b"#!/tmp\n", "/app/run is for /tmp, which this user may not execute"),
        (errno.EACCES, b"\x7fELF", "/app/run is a file that this user may not execute"),
        (errno.ENOENT, b"#!bin/lua -x\n", "/app/run is for bin/lua, which is not where it runs"),
    ],
)
def test_what_was_meant(number: int, head: bytes, words: str) -> None:
    assert words in str(explain(number, "/app/run", head))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ETXTBSY, errno.ENOENT])
def test_what_another_time_may_be_better(number: int) -> None:
    assert explain(number, "/app/run", b"\x7fELF") is None
