"""`atek schema`: the JSON Schema of manifests, for editors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from manifests.schema import make_schema

if TYPE_CHECKING:
    import argparse


def run(_: argparse.Namespace) -> int:
    """Needs neither a node nor a home."""
    print(json.dumps(make_schema(), indent=2, ensure_ascii=False))
    return 0
