"""Prometheus' text format, version 0.0.4: the lines of one metric, whoever counts it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Sample = tuple["Mapping[str, str]", float]

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def family(kind: str, name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of one metric: HELP, TYPE, and a line for each sample."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{_labels(labels)} {_number(value)}"


def histogram(
    name: str,
    text: str,
    bounds: Sequence[float],
    series: Iterable[tuple[Mapping[str, str], Sequence[int], float]],
) -> Iterator[str]:
    """`series`: labels, how many fell below each bound (and at last above all), and their sum."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    for labels, counts, total in series:
        below = 0
        for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
            below += count
            yield f"{name}_bucket{_labels({**labels, 'le': bound})} {below}"
        yield f"{name}_sum{_labels(labels)} {_number(total)}"
        yield f"{name}_count{_labels(labels)} {below}"


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    # bool is an int to Python, and "True" is none to Prometheus.
    return repr(int(value)) if isinstance(value, int) else repr(value)
