"""A preparer that is made late does what the one does that it makes, and is made once."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runtimes.packages.late import LatePreparer
from runtimes.preparer import Preparer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio
METHODS = sorted(name for name, _ in inspect.getmembers(Preparer, inspect.isfunction) if name[0] != "_")


class Told:
    """Notes what it is asked, and answers with it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*words: Any) -> Any:
            self.asked.append((name, *words))
            return (name, *words)

        async def wait(*words: Any) -> Any:
            return ask(*words)

        return wait if inspect.iscoroutinefunction(getattr(Preparer, name)) else ask


@pytest.mark.parametrize("name", METHODS)
async def test_it_hands_everything_on(name: str) -> None:
    made: list[Told] = []

    def make() -> Any:
        made.append(Told())
        return made[-1]

    late = LatePreparer(make)
    assert not made
    words = list(inspect.signature(getattr(Preparer, name)).parameters)[1:]
    for _ in range(2):
        answer = getattr(late, name)(*words)
        answer = await answer if inspect.isawaitable(answer) else answer
        assert answer in (None, (name, *words))
    assert [each.asked for each in made] == [[(name, *words)] * 2]


def test_a_node_that_has_nothing_of_the_kind_loads_nothing_for_it() -> None:
    rare = {
        "manifests.compose.files", "runtimes.packages.node", "runtimes.packages.python",
        "runtimes.packages.workshop", "runtimes.docker.runtime", "runtimes.router.carry", "hyper.client",
        "reconciler.gitops.sources", "reconciler.notify.notifier", "apprise", "httptools",
    }  # fmt: skip
    program = f"import sys, reconciler.up, runtimes.registry; print(sorted({rare} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
