"""Why a file cannot be opened or sealed."""

from __future__ import annotations


class SopsTrouble(Exception):
    """`reason` is UpperCamelCase; neither text has anything of a plain value in it.

    NotEncrypted, AlreadyEncrypted, BrokenFile, WrongStore, NoIdentity, NotSupported, WrongTag, WrongMac,
    KeyNotFound, NotAValue, BadRecipient, NoRecipients or NoRule.
    """

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
