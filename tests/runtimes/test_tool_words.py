"""The cause of a failure, out of what real tools print."""

from __future__ import annotations

import pytest

from runtimes.tool_words import ToolWords

E404 = """
npm error code E404
npm error 404 Not Found - GET https://registry.npmjs.org/no-such-thing
npm error 404
npm error 404  The requested resource 'no-such-thing@1' could not be found or you do not have permission.
npm error 404
npm error 404 Note that you can also install from a
npm error 404 tarball, folder, http url, or git url.
npm error A complete log of this run can be found in: /root/.npm/_logs/x-debug-0.log
"""
MISSING = """
> app@1.0.0 build
> node build.js

node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module 'left-pad'
Require stack:
- /srv/app/build.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/srv/app/build.js' ]
}

Node.js v20.20.2
npm error Lifecycle script `build` failed with error:
npm error code 1
npm error path /srv/app
"""
SPAWN = """
Error: spawn ENOENT
    at ChildProcess.spawn (node:internal/child_process:420:11) {
  errno: -2,
  code: 'ENOENT',
  syscall: 'spawn'
}
"""
GYP = """
npm error code 1
npm error path /srv/node_modules/canvas
npm error command failed
npm error command sh -c node-gyp rebuild
npm error gyp info it worked if it ends with ok
npm error gyp ERR! build error
npm error gyp ERR! stack Error: not found: make
npm error gyp ERR! not ok
"""
PYTHON = """
Traceback (most recent call last):
  File "/srv/setup.py", line 3, in <module>
    import numpy
ModuleNotFoundError: No module named 'numpy'
"""
UV = """
Using Python 3.11.7
  × Failed to build `app @ file:///srv/app`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stderr]
      error: Multiple top-level packages discovered in a flat-layout: ['a', 'b'].

      hint: This usually indicates a problem with the package or the build environment.
"""
COMPILER = """
make: Entering directory '/srv'
src/a.c:3:10: fatal error: foo.h: No such file or directory
compilation terminated.
make: *** [Makefile:2: a.o] Error 1
"""
TYPESCRIPT = """
src/index.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.

Found 1 error in src/index.ts:3
"""

DOCKER = """
Step 1/2 : FROM scratch
 ---> 3b7f1c
Step 2/2 : RUN make all
 ---> Running in 4f1c
cc: no such thing
Removing intermediate container 4f1c
"""


@pytest.mark.parametrize(
    ("said", "told", "not_told"),
    [
        (E404, ["code E404", "Not Found - GET https://registry.npmjs.org/no-such-thing"], ["tarball", "log"]),
        (MISSING, ["Error: Cannot find module 'left-pad'"], ["}", "Node.js v", "requireStack", "throw"]),
        (SPAWN, ["Error: spawn ENOENT"], ["}", "errno"]),
        (GYP, ["not found: make"], ["gyp info", "npm error path"]),
        (PYTHON, ["ModuleNotFoundError: No module named 'numpy'"], ["Traceback"]),
        (UV, ["Failed to build", "Multiple top-level packages"], ["hint", "Using Python"]),
        (COMPILER, ["foo.h: No such file or directory"], ["terminated"]),
        (TYPESCRIPT, ["error TS2322: Type 'string'"], []),
        (DOCKER, ["cc: no such thing"], ["Step", "--->", "Removing"]),
        ("all is lost\n}\n", ["all is lost"], ["}"]),
    ],
    ids=["e404", "missing", "spawn", "gyp", "python", "uv", "compiler", "typescript", "docker", "words"],
)
def test_the_cause_is_told_and_not_what_stands_around_it(
    said: str, told: list[str], not_told: list[str]
) -> None:
    words = ToolWords()
    for line in said.splitlines():
        words.hear(line.strip())
    assert [each for each in told if each not in str(words)] == []
    assert [each for each in not_told if each in str(words)] == []


def test_the_first_of_many_errors_is_among_them() -> None:
    words = ToolWords()
    for number in range(1000):
        words.hear(f"src/a.c:{number}:1: error: number {number}")
    assert "number 0" in str(words) and "number 999" in str(words) and len(str(words)) < 500


def test_silence() -> None:
    assert str(ToolWords()) == "it said nothing"
