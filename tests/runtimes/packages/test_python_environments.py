"""Each revision of a Python package has an environment of its own: what one does there, no other gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

from runtimes.packages import trees
from runtimes.packages.python import PythonPreparer
from tests.runtimes.factories import clear, make_paths, service
from tests.runtimes.packages.wheels import make_wheel, only_from

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.model.service import Service

pytestmark = pytest.mark.anyio


def app(home: Path, main: str) -> Service:
    (home / "source").mkdir(exist_ok=True)
    (home / "source" / "main.py").write_text(main)
    (home / "source" / "requirements.txt").write_text("top")
    return service(runtime="python", package=str(home / "source"))


async def run(preparer: PythonPreparer, of: Service) -> str:
    program = preparer.program(of)
    return (await anyio.run_process(program.argv, cwd=program.cwd)).stdout.decode().strip()


@pytest.mark.parametrize(
    "mischief",
    [
        "open(top.__file__, 'w').write('VERSION = 9')",
        "import os; open('x', 'w').write('VERSION = 9'); os.replace('x', top.__file__)",
        "import os; os.remove(top.__file__)",
    ],
)
@pytest.mark.parametrize("large", [False, True])
async def test_what_a_program_does_to_its_libraries_is_not_the_next_revisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mischief: str, large: bool
) -> None:
    monkeypatch.setattr(trees, "LARGEST_SPARE", 0 if large else trees.LARGEST_SPARE)
    only_from(tmp_path / "wheels", monkeypatch)
    make_wheel(tmp_path / "wheels", "top", "1.0")
    preparer = PythonPreparer(make_paths(tmp_path))
    first = app(tmp_path, f"import top; print(top.VERSION); {mischief}")
    await preparer.prepare(first, print)
    assert await run(preparer, first) == "1.0"
    for text in ("import top; print(top.VERSION)", "import top; print(top.VERSION, end='')"):
        # From the spare, and without one.
        await preparer.prewarm(first) if "end" not in text else None
        second = app(tmp_path, text)
        await preparer.prepare(second, print)
        assert await run(preparer, second) == "1.0"


@pytest.mark.parametrize("large", [False, True])
async def test_an_older_revision_loads_what_it_always_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(trees, "LARGEST_SPARE", 0 if large else trees.LARGEST_SPARE)
    only_from(tmp_path / "wheels", monkeypatch)
    make_wheel(tmp_path / "wheels", "top", "1.0")
    preparer = PythonPreparer(make_paths(tmp_path))
    old = app(tmp_path, "import top; print(top.VERSION)")
    await preparer.prepare(old, print)
    new = app(tmp_path, "import top; open(top.__file__, 'a').write('VERSION = 9')")
    await preparer.prepare(new, print)
    await run(preparer, new)
    assert await run(preparer, old) == "1.0"


async def test_scripts_of_an_environment_run_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_from(tmp_path / "wheels", monkeypatch)
    make_wheel(tmp_path / "wheels", "top", "1.0", scripts={"tell": "top:tell"})
    preparer = PythonPreparer(make_paths(tmp_path))
    of = app(
        tmp_path,
        "import subprocess, sys; print(sys.prefix); print(subprocess.check_output(['tell']).decode())",
    )
    await preparer.prepare(of, print)
    program = preparer.program(of)
    environment = {"PATH": os.pathsep.join([*program.path, os.environ["PATH"]])}
    done = await anyio.run_process(program.argv, cwd=program.cwd, env=environment)
    own = os.path.join(program.cwd, ".venv")
    assert done.stdout.decode().split() == [own, own]
    # What it was cloned from is kept for the next revision, and goes with the last.
    folder = tmp_path / "packages" / "app"
    await clear(preparer, "app", [of])
    assert any(each.name.startswith("tree-") for each in folder.iterdir())
    await clear(preparer, "app", [])
    assert not folder.exists()
