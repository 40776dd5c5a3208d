"""A manifest: one service as its author wrote it, right in each key and as a whole.

Keys that belong to a part of the design that this version does not have yet are named by
`unbuilt` and refused, never ignored.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from manifests.model.spec import Spec
from manifests.model.validation import violations


def unbuilt(document: dict[str, Any]) -> dict[str, str]:
    """Each key that asks for something this version lacks, with the name of that."""
    found = {}
    source = document.get("source")
    if isinstance(source, str) and source.startswith("hyper://"):
        found["source"] = "packages on drives in files"
    return found


class Manifest(Spec):
    # Editors show it: `atek schema`.
    __doc__ = Spec.__doc__

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        if found := list(violations(self)):
            raise ValueError("; ".join(found))
        return self
