"""What a person is told when something that they asked for cannot be done."""

from __future__ import annotations


class UserError(Exception):
    """What a person asked for cannot be done: one sentence, and a hint."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
