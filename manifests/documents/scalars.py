"""What was written is what arrives: `1.10`, `0x1F`, `+49123` and `True` where a manifest has text. Pure.

Readers of files make a number, a date or a truth a `Scalar`, which remembers its text. `coerce` then gives
each place of a document what its model has there: the text where that is text, else the value. A document
that comes from elsewhere (a record, a call) has values only; their usual spelling is their text.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is no text in the language of its file, and how it is spelled there."""

    value: Any
    text: str


def coerce(document: Any, model: type[BaseModel]) -> Any:
    """A copy of the document in plain values, with text where `model` has text. Never raises."""
    return _coerced(document, _shape(model))


def plain(document: Any) -> Any:
    """A copy of the document in plain values."""
    return _coerced(document, None)


def _coerced(value: Any, shape: _Shape | None) -> Any:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        return {key: _coerced(item, shape and shape.at(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_coerced(item, shape and shape.item) for item in value]
    if shape is None or not shape.is_text:
        return value.value if isinstance(value, Scalar) else value
    return text_of(value)


def text_of(value: Any) -> Any:
    """The spelling of a number or a truth; anything else as it is."""
    if isinstance(value, Scalar):
        return value.text
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


# What a model has where


@dataclass(frozen=True, slots=True)
class _Shape:
    """`is_text`: a scalar here is text. `keys` are those of tables, `value` is that of any other key."""

    is_text: bool = False
    keys: dict[str, _Shape] | None = None
    value: _Shape | None = None
    item: _Shape | None = None

    def at(self, key: Any) -> _Shape | None:
        found = self.keys.get(key) if self.keys and isinstance(key, str) else None
        return found or self.value


@cache
def _shape(annotation: Any) -> _Shape:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _union([_shape(part) for part in get_args(annotation)], get_args(annotation))
    if origin in (tuple, list):
        return _Shape(item=_shape(get_args(annotation)[0]))
    if origin is dict:
        return _Shape(value=_shape(get_args(annotation)[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        keys: dict[str, _Shape] = {}
        for name, field in annotation.model_fields.items():
            keys[name] = keys[field.alias or name] = _shape(field.annotation)  # type: ignore[arg-type]
        return _Shape(keys=keys)
    return _Shape(is_text=annotation is str)


def _union(shapes: list[_Shape], parts: tuple[Any, ...]) -> _Shape:
    """A scalar is text if it can be that and no number; tables and lists are those of whichever has them."""
    numbers = any(_plainest(part) in (int, float, bool) for part in parts)
    return _Shape(
        is_text=not numbers and any(shape.is_text for shape in shapes),
        keys=next((shape.keys for shape in shapes if shape.keys), None),
        value=next((shape.value for shape in shapes if shape.value), None),
        item=next((shape.item for shape in shapes if shape.item), None),
    )


def _plainest(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return type(get_args(annotation)[0]) if get_origin(annotation) is Literal else annotation
