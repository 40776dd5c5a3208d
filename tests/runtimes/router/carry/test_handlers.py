"""Whatever may be decided can be carried out."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import is_dataclass

from runtimes.router import decide
from runtimes.router.carry.handlers import HANDLERS


def test_each_kind_of_decision_has_a_handler() -> None:
    modules = [
        importlib.import_module(f"{decide.__name__}.{each.name}")
        for each in pkgutil.iter_modules(decide.__path__)
    ]
    kinds = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and is_dataclass(value) and {"head", "series", "caller"} <= set(dir(value))
    }
    assert kinds == set(HANDLERS)
