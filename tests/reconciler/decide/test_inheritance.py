"""Who may have what a service left."""

from __future__ import annotations

import pytest

from reconciler.decide.inheritance import LOCAL, may_take

LAPTOP, PI = "follow:laptop", "follow:pi"


@pytest.mark.parametrize(
    ("owner", "noted", "held", "ran_for", "expected"),
    [
        (LAPTOP, PI, False, {PI}, True),  # nothing is left
        (LAPTOP, PI, True, {PI}, False),
        (LAPTOP, PI, True, {LAPTOP}, False),  # what was noted counts more than what ran
        (LAPTOP, LOCAL, True, {LAPTOP}, True),  # it had the folder before owners were noted
        (LAPTOP, LOCAL, True, {LOCAL, LAPTOP}, False),
        (LAPTOP, LOCAL, True, set(), False),  # unknown is not nobody's
        (LOCAL, PI, True, {PI}, False),
    ],
)
def test_who_may_have_a_folder(owner: str, noted: str, held: bool, ran_for: set[str], expected: bool) -> None:
    assert may_take(owner, noted=noted, held=held, ran_for=ran_for) is expected
