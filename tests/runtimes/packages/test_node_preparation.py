"""Node packages as their authors' own tools would leave them: npm itself, tarballs, no registry."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from runtimes.base import Notice, RuntimeFailure
from runtimes.packages.node import NodePreparer
from runtimes.packages.python import PythonPreparer
from tests.runtimes.factories import make_home, make_paths, service
from tests.runtimes.packages.npm_packages import tarball

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.model.service import Service
    from runtimes.paths import Paths

pytestmark = pytest.mark.anyio

#: What a dependency finds when it looks for the package that uses it, as module-alias and app-root-path do.
ROOT = "module.exports = require('fs').realpathSync(require('path').join(__dirname, '../..'))"


class App:
    """A package of a service called app, and what becomes of it."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.source = paths.home / "source"
        self.preparer = NodePreparer(paths)
        self.said: list[str] = []

    def write(self, files: dict[str, Any]) -> None:
        for name, content in files.items():
            place = self.source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content if isinstance(content, str) else json.dumps(content))

    def vendor(self, name: str, **package: Any) -> str:
        """A dependency as a tarball inside of the package."""
        tarball(self.source / "vendor", name, **package)
        return f"file:./vendor/{name}-1.0.0.tgz"

    async def prepare(self, files: dict[str, Any] | None = None, **manifest: Any) -> Service:
        self.write(files or {})
        of = service(runtime="node", package=os.fspath(self.source), **manifest)
        self.said = []
        with anyio.fail_after(100):
            await self.preparer.prepare(of, self.said.append)
        return of

    async def output(self, of: Service) -> str:
        program = self.preparer.program(of)
        done = await anyio.run_process([*program.argv], cwd=program.cwd)
        return done.stdout.decode().strip()

    def copy(self, of: Service) -> Path:
        return Path(self.preparer.program(of).cwd)

    async def clear(self, *keep: Service) -> None:
        """As the loop does it: for all runtimes, one after the other."""
        for preparer in (self.preparer, PythonPreparer(self.paths)):
            await preparer.retain("app", keep, None)
            await preparer.collect("app", keep)
            await preparer.purge()

    @property
    def installed(self) -> bool:
        return any(line.startswith(("npm install", "npm ci")) for line in self.said)


@pytest.fixture
def app() -> Iterator[App]:
    home = make_home()
    yield App(make_paths(home))
    shutil.rmtree(home)


async def test_what_looks_for_its_package_from_where_it_is_finds_it(app: App) -> None:
    rooted = app.vendor("rooted", files={"index.js": ROOT})
    of = await app.prepare(
        {"package.json": {"dependencies": {"rooted": rooted}}, "index.js": "console.log(require('rooted'))"}
    )
    assert await app.output(of) == os.fspath(app.copy(of))
    assert not (app.copy(of) / "node_modules").is_symlink()


async def test_install_scripts_find_the_files_of_the_package(app: App) -> None:
    package = {"scripts": {"postinstall": "node scripts/make.js", "prepare": "cp made.js prepared.js"}}
    make = "require('fs').writeFileSync('made.js', 'console.log(' + require('../data.json').n + ')')"
    files = {"package.json": package, "scripts/make.js": make, "data.json": {"n": 7}}
    first = await app.prepare({**files, "index.js": "require('./prepared.js')"})
    assert await app.output(first) == "7"
    # They read what they like, so what they made once is not what they would make of other files.
    second = await app.prepare({"data.json": {"n": 8}})
    assert (await app.output(second), await app.output(first)) == ("8", "7")


async def test_a_patch_of_the_package_is_applied_and_reaches_no_other_revision(app: App) -> None:
    """As patch-package does it: in place, into what was installed."""
    lib = app.vendor("lib", files={"index.js": "module.exports = 'plain'"})
    write = "require('fs').writeFileSync('node_modules/lib/index.js', text)"
    apply = f"const text = require('fs').readFileSync('lib.patch'); {write}"
    package = {"dependencies": {"lib": lib}, "scripts": {"postinstall": "node apply.js"}}
    files = {"package.json": package, "apply.js": apply, "index.js": "console.log(require('lib'))"}
    first = await app.prepare({**files, "lib.patch": "module.exports = 'patched'"})
    assert await app.output(first) == "patched"
    second = await app.prepare({"lib.patch": "module.exports = 'patched again'"})
    assert (await app.output(second), await app.output(first)) == ("patched again", "patched")


async def test_development_dependencies_are_there_when_the_package_is_prepared(app: App) -> None:
    program = "#!/usr/bin/env node\nconsole.log('x')"
    tool = app.vendor("tool", files={"run.js": program}, bin={"tool": "run.js"})
    package = {"devDependencies": {"tool": tool}, "scripts": {"prepare": "tool > made.txt"}}
    of = await app.prepare({"package.json": package, "index.js": ""}, env={"NODE_ENV": "production"})
    assert (app.copy(of) / "made.txt").read_text() == "x\n"


@pytest.mark.parametrize("spare", [False, True])
async def test_a_build_that_writes_into_what_was_installed_changes_no_other_revision(
    app: App, spare: bool
) -> None:
    lib = app.vendor("lib", files={"index.js": "exports.n = 1\n"})
    package = {
        "dependencies": {"lib": lib},
        "scripts": {"build": "echo 'exports.n += 1' >> node_modules/lib/index.js"},
    }
    revisions = []
    for number in range(4):
        of = await app.prepare(
            {"package.json": package, "index.js": f"console.log(require('lib').n) // {number}"}
        )
        assert app.installed == (number == 0)
        revisions.append(of)
        if spare:
            await app.preparer.prewarm(of)
    assert [await app.output(of) for of in revisions] == ["2"] * 4


@pytest.mark.parametrize("spare", [False, True])
async def test_a_program_that_writes_into_what_was_installed_changes_no_other_revision(
    app: App, spare: bool
) -> None:
    lib = app.vendor("lib", files={"index.js": "exports.n = 1\n"})
    running = "require('fs').appendFileSync(require.resolve('lib'), '\\nexports.n += 1')"
    package = {"dependencies": {"lib": lib}}
    first = await app.prepare(
        {"package.json": package, "index.js": f"console.log(require('lib').n); {running}"}
    )
    if spare:
        await app.preparer.prewarm(first)
    assert [await app.output(first) for _ in range(3)] == ["1", "2", "3"]
    second = await app.prepare({"index.js": "console.log('new', require('lib').n)"})
    assert not app.installed and await app.output(second) == "new 1"
    third = await app.prepare({"index.js": "console.log('newer', require('lib').n)"})
    assert await app.output(third) == "newer 1"


async def test_the_spare_is_taken_as_it_is_and_made_anew(app: App) -> None:
    lib = app.vendor("lib", files={"index.js": ""})
    first = await app.prepare({"package.json": {"dependencies": {"lib": lib}}, "index.js": "1"})
    await app.preparer.prewarm(first)
    (spare,) = app.paths.packages("app").glob("tree-*/spares/*/node_modules")
    taken = spare.stat().st_ino
    second = await app.prepare({"index.js": "2"})
    assert (app.copy(second) / "node_modules").stat().st_ino == taken and not spare.exists()
    await app.preparer.prewarm(second)
    (spare,) = app.paths.packages("app").glob("tree-*/spares/*/node_modules")
    assert spare.stat().st_ino != taken


async def test_what_deaths_left_half_made_goes(app: App) -> None:
    lib = app.vendor("lib", files={"index.js": ""})
    first = await app.prepare({"package.json": {"dependencies": {"lib": lib}}, "index.js": "1"})
    packages = app.paths.packages("app")
    (tree,) = packages.glob("tree-*")
    (tree / ".spare-1-abc/node_modules").mkdir(parents=True)
    await app.preparer.prewarm(first)
    assert sorted(entry.name for entry in tree.iterdir()) == ["about.json", "fingerprints", "spares", "tree"]
    app.write({"index.js": "2"})
    of = service(runtime="node", package=os.fspath(app.source))
    assert of.package
    name = of.package.digest
    (packages / f".tree-{name}/tree").mkdir(parents=True)
    (packages / name / "half").mkdir(parents=True)
    (packages / f".new-{name}").touch()
    with pytest.raises(RuntimeFailure, match="not prepared"):
        app.preparer.program(of)
    await app.prepare()
    assert not (packages / f".tree-{name}").exists() and not (packages / name / "half").exists()
    assert (app.copy(of) / "node_modules/lib").is_dir()


SCRIPTED = "require('fs').writeFileSync('out.js', 'module.exports = ' + {what})"
#: npm tells the scripts of dependencies where it was called.
READS = SCRIPTED.format(what="require(process.env.INIT_CWD + '/schema.json').n")
LOOKS = SCRIPTED.format(what="require('fs').existsSync(process.env.INIT_CWD + '/extra.json')")


@pytest.mark.parametrize(
    ("script", "change", "again", "said"),
    [
        (READS, {"index.js": "console.log('edited', require('lib'))"}, False, "edited 1"),
        (READS, {"schema.json": {"n": 2}}, True, "2"),
        (LOOKS, {"schema.json": {"n": 2}}, False, "false"),
        (LOOKS, {"extra.json": {}}, True, "true"),
    ],
)
async def test_a_dependency_that_reads_the_package_is_made_anew_when_that_changed(
    app: App, script: str, change: dict[str, Any], again: bool, said: str
) -> None:
    files = {"index.js": "module.exports = require('./out.js')", "make.js": script}
    lib = app.vendor("lib", files=files, scripts={"install": "node make.js"})
    package = {"dependencies": {"lib": lib}}
    await app.prepare(
        {"package.json": package, "schema.json": {"n": 1}, "index.js": "console.log(require('lib'))"}
    )
    of = await app.prepare(change)
    assert await app.output(of) == said and app.installed == again


async def test_a_build_that_failed_is_tried_again_with_what_was_installed(app: App) -> None:
    lib = app.vendor("lib", files={"index.js": ""})
    package = {"dependencies": {"lib": lib}, "scripts": {"build": "sh build.sh"}}
    fails = {"package.json": package, "index.js": "", "build.sh": f"test -e {app.paths.home}/there"}
    with pytest.raises(RuntimeFailure, match="npm run build"):
        await app.prepare(fails)
    assert app.installed
    await app.clear(service(runtime="node", package=os.fspath(app.source)))
    (app.paths.home / "there").touch()
    await app.prepare()
    assert not app.installed
    # The same where an edit mends it.
    with pytest.raises(RuntimeFailure, match="npm run build"):
        await app.prepare({"build.sh": "false"})
    await app.prepare({"build.sh": "true"})
    assert not app.installed


async def test_what_scripts_wrote_beside_it_is_used_again_for_the_same_content_only(app: App) -> None:
    build = f"test -e {app.paths.home}/there"
    scripts = {"postinstall": "cp source.js made.js", "build": build}
    files = {"package.json": {"scripts": scripts}, "source.js": "1", "index.js": "require('./made.js')"}
    with pytest.raises(RuntimeFailure, match="npm run build"):
        await app.prepare(files)
    (app.paths.home / "there").touch()
    first = await app.prepare()
    assert not app.installed and (app.copy(first) / "made.js").read_text() == "1"
    second = await app.prepare({"source.js": "2"})
    assert app.installed and (app.copy(second) / "made.js").read_text() == "2"


async def test_a_root_of_workspaces_without_dependencies_of_its_own_is_installed(app: App) -> None:
    of = await app.prepare({
        "package.json": {"private": True, "workspaces": ["packages/*"]},
        "packages/part/package.json": {"name": "part", "version": "1.0.0"},
        "packages/part/index.js": "module.exports = __dirname",
        "index.js": "console.log(require('part'))",
    })  # fmt: skip
    assert await app.output(of) == os.fspath(app.copy(of) / "packages/part")


async def test_files_of_this_machine_are_installed_as_they_are_now(app: App) -> None:
    outside = app.paths.home / "outside"
    package = {"dependencies": {"lib": tarball(outside, "lib", files={"index.js": "module.exports = 'old'"})}}
    await app.prepare({"package.json": package, "index.js": "console.log(require('lib'))"})
    tarball(outside, "lib", files={"index.js": "module.exports = 'new'"})
    of = await app.prepare({"index.js": "console.log('edited', require('lib'))"})
    assert await app.output(of) == "edited new"


@pytest.mark.parametrize("lock", ["bun.lock", "bun.lockb", "deno.lock"])
async def test_a_lock_that_nobody_here_can_read_is_named(app: App, lock: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        await app.prepare({"package.json": {"dependencies": {"a": "1"}}, lock: "", "index.js": ""})
    assert caught.value.reason == "PrepareFailed" and lock.split(".")[0] in caught.value.message
    assert "package-lock.json" in caught.value.hint and caught.value.permanent


async def test_without_anything_to_install_nothing_is_run(app: App) -> None:
    await app.prepare({"package.json": {"name": "x", "type": "commonjs"}, "index.js": "", "bun.lock": ""})
    assert app.said == ["copying the package"]


async def test_clearing_away_leaves_what_is_being_made(app: App) -> None:
    """A failed build that is corrected at once, and a sweep in the middle of the next one."""
    lib = app.vendor("lib", files={"index.js": "exports.n = 1\n"})
    begun, go_on = app.paths.home / "begun", app.paths.home / "go-on"
    wait = f"touch {begun}; until test -e {go_on}; do sleep 0.02; done; cp index.js built.js"
    files = {"package.json": {"dependencies": {"lib": lib}, "scripts": {"build": wait}}, "index.js": "1"}
    old = await app.prepare({"index.js": "0"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app.prepare, files)
        with anyio.fail_after(60):
            while not begun.exists():
                await anyio.sleep(0.01)
        making = service(runtime="node", package=os.fspath(app.source))
        await app.clear(making)
        go_on.touch()
    copy = app.copy(making)
    assert (copy / "built.js").read_text() == "1" and (copy / "node_modules/lib").is_dir()
    with pytest.raises(RuntimeFailure, match="not prepared"):
        app.preparer.program(old)
    # It still knows its dependencies, and they go with it.
    await app.clear(making)
    assert list(app.paths.packages("app").glob("tree-*"))
    await app.clear()
    assert not app.paths.packages("app").exists()


async def test_copies_of_zero_three_run_on_and_go_when_nobody_needs_them(app: App) -> None:
    """Their node_modules is a link to what they share, and nothing lies beside them."""
    app.write({"package.json": {"dependencies": {"lib": "1"}}, "index.js": "console.log(require('lib'))"})
    of = service(runtime="node", package=os.fspath(app.source))
    assert of.package
    copy = app.paths.packages("app") / of.package.digest
    shutil.copytree(app.source, copy)
    shared = copy.with_name("deps-abc")
    (shared / "node_modules/lib").mkdir(parents=True)
    (shared / "node_modules/lib/index.js").write_text("module.exports = 'shared'")
    (shared / ".atek-complete").touch()
    (copy / "node_modules").symlink_to("../deps-abc/node_modules")
    await app.prepare()
    await app.clear(of)
    assert app.said == [] and await app.output(of) == "shared"
    newer = await app.prepare({"package.json": {}, "index.js": "console.log('new')"})
    await app.clear(newer)
    assert await app.output(newer) == "new" and not shared.exists() and not copy.exists()


async def test_a_workspace_without_its_root_is_told(app: App) -> None:
    (app.paths.home / "package.json").write_text('{"workspaces": ["source"]}')
    package = {"name": "web", "dependencies": {"x": app.vendor("x", files={"index.js": ""})}}
    await app.prepare({"package.json": package, "index.js": ""})
    assert [each.reason for each in app.said if isinstance(each, Notice)] == ["InstalledAlone"]
