"""The cause of a failure, out of what real tools print."""

from __future__ import annotations

import pytest

from runtimes.packages.tool_errors import ToolWords

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

ERESOLVE = """
npm error code ERESOLVE
npm error ERESOLVE unable to resolve dependency tree
npm error
npm error While resolving: a@1.0.0
npm error Found: react@17.0.2
npm error node_modules/react
npm error   react@"17.0.2" from the root project
npm error
npm error Could not resolve dependency:
npm error peer react@"^18.2.0" from react-dom@18.2.0
npm error node_modules/react-dom
npm error   react-dom@"18.2.0" from the root project
npm error
npm error Fix the upstream dependency conflict, or retry this command with --force or --legacy-peer-deps
npm error
npm error For a full report see:
npm error /root/.npm/_logs/x-eresolve-report.txt
"""
EUSAGE = """
npm error code EUSAGE
npm error
npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.
npm error
npm error Missing: ms@2.1.3 from lock file
npm error
npm error Clean install a project
npm error
npm error Usage:
npm error npm ci
npm error
npm error Options:
npm error [--install-strategy <hoisted|nested|shallow|linked>] [--legacy-bundling]
npm error
npm error   --install-links
npm error     When set file: protocol dependencies will be packed and installed as
npm error
npm error aliases: clean-install, ic, install-clean, isntall-clean
npm error
npm error Run "npm help ci" for more info
"""
SILENT = """
> a@1.0.0 postinstall
> node -e "process.exit(3)"

npm error code 3
npm error path /srv/app
npm error command failed
npm error command sh -c node -e "process.exit(3)"
npm error A complete log of this run can be found in: /root/.npm/_logs/x-debug-0.log
"""
REFUSED = """
npm error code ECONNREFUSED
npm error syscall connect
npm error errno ECONNREFUSED
npm error FetchError: request to http://127.0.0.1:9/ms failed, reason: connect ECONNREFUSED 127.0.0.1:9
npm error }
npm error If you are behind a proxy, please make sure that the 'proxy' config is set properly.
"""
MODERN = """
➤ YN0082: │ ms@npm:99.1.0: No candidates found
➤ YN0000: └ Completed
➤ YN0000: · Failed with errors in 0s 264ms
"""
YARN = """
yarn install v1.22.22
warning package.json: No license field
[1/4] Resolving packages...
error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.
info Visit https://yarnpkg.com/en/docs/cli/install for documentation about this command.
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
        (ERESOLVE, ['react@"17.0.2" from', 'peer react@"^18.2.0" from react-dom'], ["report", "Fix the"]),
        (
            EUSAGE,
            ["Missing: ms@2.1.3 from lock file"],
            ["aliases", "help", "Options", "npm error npm ci", "install-links"],
        ),
        (REFUSED, ["request to http://127.0.0.1:9/ms failed"], ["syscall", "errno", "}", "proxy"]),
        (MODERN, ["ms@npm:99.1.0: No candidates found"], ["YN0000"]),
        (SILENT, ["npm error code 3", 'sh -c node -e "process.exit(3)"'], ["complete log"]),
        (YARN, ["Your lockfile needs to be updated"], ["license", "[1/4]", "Visit"]),
    ],
    ids=[
        "e404",
        "missing",
        "spawn",
        "gyp",
        "python",
        "uv",
        "compiler",
        "typescript",
        "docker",
        "words",
        "eresolve",
        "eusage",
        "refused",
        "modern",
        "silent",
        "yarn",
    ],
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


def heard(said: str) -> ToolWords:
    words = ToolWords()
    for line in said.splitlines():
        words.hear(line.strip())
    return words


@pytest.mark.parametrize(
    "said",
    [
        E404,
        ERESOLVE,
        EUSAGE,
        YARN,
        "npm error code ETARGET\nnpm error notarget No matching version found for ms@99.1.0.",
        "npm ERR! code EJSONPARSE",
        'error Couldn\'t find any versions for "ms" that matches "99.1.0"',
        "➤ YN0082: │ ms@npm:99.1.0: No candidates found",
        "➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.",
        "ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with frozen-lockfile",
        "ERR_PNPM_NO_MATCHING_VERSION  No matching version found for ms@99.1.0",
        "error: No solution found when resolving dependencies\ncause: there is no version of idna==99.9",
        "× No solution found when resolving dependencies:\n╰─▶ Because networkx==99 was not found",
        "ERROR: No matching distribution found for idna==99.9",
        "error: Failed to parse `uv.lock`\ncause: TOML parse error at line 1, column 9",
        "error: Couldn't parse requirement in `requirements.txt` at position 0",
        "error: Error parsing included file in `requirements.txt` at position 0",
        "error: Distribution not found at: file:///srv/app/local",
    ],
)
def test_what_waiting_cannot_mend(said: str) -> None:
    assert heard(said).lasting


@pytest.mark.parametrize(
    "said",
    [
        "",
        MISSING,
        GYP,
        SILENT,
        "npm error code ECONNREFUSED",
        "npm error code E503\nnpm error 503 Service Unavailable - GET https://registry.npmjs.org/ms",
        "npm error code E404\nnpm error request to https://x/y failed, reason: getaddrinfo EAI_AGAIN x",
        "error: No solution found when resolving dependencies\nhint: the network was disabled",
        "error: Failed to fetch: `https://pypi.org/simple/idna/`\ncause: dns error",
        "error: No solution found when resolving dependencies\nhint: 503 Service Unavailable",
        "WARNING: Retrying (Retry(total=4)) after reset\nERROR: No matching distribution found for x",
        "error An unexpected error occurred: connect ECONNREFUSED 127.0.0.1:9",
        "ENOSPC: no space left on device\nnpm error code E404",
    ],
)
def test_what_waiting_may_mend(said: str) -> None:
    assert not heard(said).lasting
