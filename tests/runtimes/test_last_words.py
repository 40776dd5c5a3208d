"""The line that tells why a program ended, where each kind of program has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.last_words import WINDOW, choose, last_words

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = """
starting
Traceback (most recent call last):
  File "/app/main.py", line 1, in <module>
    import x
ModuleNotFoundError: No module named 'x'
"""
NODE = """
node:internal/modules/cjs/loader:1404
  throw err;
  ^

Error: Cannot find module 'x'
Require stack:
- /app/index.js
    at Function._resolveFilename (node:internal/modules/cjs/loader:1401:15)
    at node:internal/main/run_main_module:36:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/app/index.js' ]
}

Node.js v22.12.0
"""
GO = """
panic: runtime error: index out of range [3] with length 2

goroutine 1 [running]:
main.main()
\t/app/main.go:5 +0x18
exit status 2
"""
RUST = """
thread 'main' panicked at src/main.rs:2:5:
there is no port
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
JAVA = """
Exception in thread "main" java.lang.RuntimeException: outer
\tat Main.main(Main.java:5)
Caused by: java.io.IOException: no such disk
\t... 1 more
"""
POSTGRES = """
2026-01-01 10:00:00 UTC [1] FATAL:  lock file "postmaster.pid" already exists
2026-01-01 10:00:00 UTC [1] HINT:  Is another postmaster running?
"""
NGINX = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n"
COLOURED = "\x1b[31mERROR\x1b[0m: \x1b]0;title\x07no\x08thing\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (PYTHON, "ModuleNotFoundError: No module named 'x'"),
        (NODE, "Error: Cannot find module 'x' | Require stack: | - /app/index.js"),
        (
            GO,
            "panic: runtime error: index out of range [3] with length 2 | main.main() | /app/main.go:5 +0x18",
        ),
        (RUST, "thread 'main' panicked at src/main.rs:2:5: | there is no port"),
        (JAVA, "Caused by: java.io.IOException: no such disk | ... 1 more"),
        (NGINX, NGINX.strip()),
        (COLOURED, "ERROR: nothing"),
        ("one\ntwo\n\nthree\nfour\n}\n", "two | three | four"),
        ("", ""),
        ("\n}\n", ""),
    ],
)
def test_the_line_that_tells_most(said: str, words: str) -> None:
    assert choose(said) == words


def test_a_databases_reason_and_its_hint() -> None:
    assert "FATAL" in choose(POSTGRES) and "HINT" in choose(POSTGRES)


def test_words_are_few_and_secrets_are_none() -> None:
    long = choose("\n".join("x" * 1000 for _ in range(9)))
    assert len(long) <= 400 and "…" in long
    assert choose("x" * 195 + "the-token and more", ["the-token"]).count("the-t") == 0


def test_only_what_was_said_since_its_start_counts(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("Error: earlier\n" + "now\n")
    assert last_words(str(log), 15, []) == "now"
    assert last_words(str(log), -1, []) == "", "nobody knows when it was started"
    assert last_words(str(log), 1000, []) == "Error: earlier | now", "it was begun anew"
    assert last_words(str(tmp_path / "missing"), 0, []) == ""
    secret = "the-token-" * 9
    log.write_text(secret + "x" * (WINDOW - 20) + "\nend\n")
    assert last_words(str(log), 0, [secret]) == "end"
