"""Whatever a test gives to the parser and gets accepted has to be right by the JSON Schema as well."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from manifests.model.manifest import Manifest
from manifests.schema import make_schema

VALIDATOR = jsonschema_rs.validator_for(make_schema())


class CheckedManifest(Manifest):
    """Stands for the model where documents are read."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Manifest:  # type: ignore[override]
        accepted = Manifest.model_validate(obj, **options)
        assert [error.message for error in VALIDATOR.iter_errors(plain(obj))] == [], obj
        return accepted


def plain(value: Any) -> Any:
    """What was spelled in a document as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (bool, int, float, type(None))) else str(value)
