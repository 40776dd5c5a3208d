"""The line that tells why a program ended, where each kind of program has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtimes.processes.termination_message import WINDOW, choose, termination_message

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
OWN_EXCEPTION = """
Traceback (most recent call last):
  File "/app/main.py", line 9, in <module>
    django.setup()
    ^^^^^^^^^^^^^^
django.core.exceptions.ImproperlyConfigured: the first line
of four
that it
has
"""
CHAINED = """
Traceback (most recent call last):
  File "/app/a.py", line 1, in <module>
KeyError: 'url'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/a.py", line 3, in <module>
Unconfigured: no url
"""
PYTHON_SYNTAX = """
  File "/app/main.py", line 7
    def f(:
          ^
SyntaxError: invalid syntax
"""
NODE_SYNTAX = """
/app/index.js:3
let a = ;
        ^

SyntaxError: Unexpected token ';'
    at wrapSafe (node:internal/modules/cjs/loader:1464:18)

Node.js v20.20.2
"""
NODE_REJECTION = """
node:internal/process/promises:389
      new UnhandledPromiseRejection(reason);
      ^

UnhandledPromiseRejection: it rejected with the reason "#<Object>".
    at throwUnhandledRejectionsMode (node:internal/process/promises:389:7) {
  code: 'ERR_UNHANDLED_REJECTION'
}
"""
RUST_TRACE = """
thread 'main' panicked at src/main.rs:4:5:
Address already in use
stack backtrace:
   0: rust_begin_unwind
             at /rustc/9fc6b431/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
"""
PHP = """
PHP Fatal error:  Uncaught Error: no foo() in /srv/a.php:3
Stack trace:
#0 {main}
  thrown in /srv/a.php on line 3
"""
DOWN = "".join(f"bye {number}\n" for number in range(9))
LOGFMT = 'time="12:00" level=info msg=a\ntime="12:00" level=fatal msg="no table"\n' + DOWN
JSON = '{"level":"info"}\n{"level":"error","msg":"no table"}\n' + DOWN
STAMPED = "2026/11/30 12:00:00 [emerg] 1#1: bind() failed\n" + DOWN
ZONED = '2026-11-30 12:00:00.000 UTC [12] FATAL:  no "postmaster.pid"\n' + DOWN


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
        (JAVA, "Caused by: java.io.IOException: no such disk"),
        (NGINX, NGINX.strip()),
        (COLOURED, "ERROR: nothing"),
        ("one\ntwo\n\nthree\nfour\n}\n", "two | three | four"),
        (OWN_EXCEPTION, "django.core.exceptions.ImproperlyConfigured: the first line | of four | that it"),
        (CHAINED, "Unconfigured: no url"),
        (PYTHON_SYNTAX, "SyntaxError: invalid syntax (/app/main.py:7)"),
        (NODE_SYNTAX, "SyntaxError: Unexpected token ';' (/app/index.js:3)"),
        (NODE_REJECTION, 'UnhandledPromiseRejection: it rejected with the reason "#<Object>".'),
        (RUST_TRACE, "thread 'main' panicked at src/main.rs:4:5: | Address already in use"),
        (PHP, "PHP Fatal error:  Uncaught Error: no foo() in /srv/a.php:3"),
        (LOGFMT, 'time="12:00" level=fatal msg="no table" | bye 0 | bye 1'),
        (JSON, '{"level":"error","msg":"no table"} | bye 0 | bye 1'),
        (STAMPED, "2026/11/30 12:00:00 [emerg] 1#1: bind() failed | bye 0 | bye 1"),
        (ZONED, '2026-11-30 12:00:00.000 UTC [12] FATAL:  no "postmaster.pid" | bye 0 | bye 1'),
        ("caf\xe9 ferm\ufffd pour toujours\n", "caf\xe9 ferm\ufffd pour toujours"),
        ("\ufffd\ufffdQ\ufffd \x00\ufffd\ufffdr\n" * 3, ""),
        ("\ufffd\ufffd\ufffd\nq\n\ufffdx\ufffd\nNW\nValueError: no disk\n\ufffdm\n", "ValueError: no disk"),
        ("\ufffd\ufffd\ufffd\nq\n\ufffdx\ufffd\nNW\n", ""),
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
    assert termination_message(str(log), 15, []) == "now"
    assert termination_message(str(log), -1, []) == "", "nobody knows when it was started"
    assert termination_message(str(log), 1000, []) == "Error: earlier | now", "it was begun anew"
    assert termination_message(str(tmp_path / "missing"), 0, []) == ""
    secret = "the-token-" * 9
    log.write_text(secret + "x" * (WINDOW - 20) + "\nend\n")
    assert termination_message(str(log), 0, [secret]) == "end"


def test_of_one_long_line_the_beginning_is_told(tmp_path: Path) -> None:
    log, secret = tmp_path / "service.log", "the-token-" * 9
    log.write_text("earlier\nfatal: no disk " + "x" * (3 * WINDOW))
    assert termination_message(str(log), 8, []).startswith("fatal: no disk xxx")
    log.write_text("\n" * (WINDOW - 45) + "end" + secret + "x" * (3 * WINDOW))
    assert "the-token" not in termination_message(str(log), 0, [secret])


def test_a_line_without_words_takes_no_time() -> None:
    assert choose("1" * WINDOW + "x") and choose("-" * WINDOW + "x") and choose("1 " * WINDOW + "x")
