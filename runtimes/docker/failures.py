"""What an engine's words mean: one reason for each way to fail, and what a person may do. Pure."""

from __future__ import annotations

import re

from runtimes.base import PermanentFailure, RuntimeFailure, RuntimeUnavailable

#: Answers of the engine are for people, but nobody reads pages of them in a status.
LONGEST_MESSAGE = 500
_BAD_REQUEST, _SERVER_ERROR = 400, 500
# What a starting container's first program can do wrong comes from runc, in the words of Go's os/exec.
_NOT_FOUND = re.compile(
    r'exec: "(?P<program>[^"]*)": .*(no such file or directory|executable file not found)'
)
_NOT_EXECUTABLE = re.compile(r'exec: "(?P<program>[^"]*)": .*permission denied')
_WRONG_PROCESSOR = re.compile(r"exec format error|no matching manifest for|image operating system")
_PORT_TAKEN = re.compile(r"(port is already allocated|address already in use)")
_NO_ISOLATION = re.compile(r"(unknown or invalid runtime name|unknown runtime specified)", re.IGNORECASE)
_FULL = re.compile(r"(no space left on device|disk quota exceeded)", re.IGNORECASE)


class EngineAnswer(Exception):
    """The engine answered with an error: `status` is HTTP's, `message` its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message.strip()[:LONGEST_MESSAGE]

    @property
    def missing(self) -> bool:
        """What was asked for does not exist."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Not in this state: it exists already, has ended already, is being removed already."""
        return self.status == 409


def unavailable(what: str) -> RuntimeUnavailable:
    """The engine cannot be reached, or does not answer."""
    return RuntimeUnavailable(
        "RuntimeUnavailable",
        f"the container engine {what}",
        hint="start Docker or Podman, or tell where it listens with DOCKER_HOST=unix:///…",
    )


def start_failure(service_id: str, answer: EngineAnswer) -> RuntimeFailure:
    """Why a container could not be made or started."""
    message = answer.message
    if match := _NOT_FOUND.search(message):
        return PermanentFailure(
            "CommandNotFound",
            f"the image of {service_id} has no program {match['program']}",
            hint="check command: in the manifest; for a script, also what its #! line names, and ends in",
        )
    if match := _NOT_EXECUTABLE.search(message):
        found = f"{match['program']} in the image of {service_id} is not an executable file"
        return PermanentFailure("NotExecutable", found)
    if _WRONG_PROCESSOR.search(message):
        hint = "use an image for this machine's processor"
        return PermanentFailure("WrongProcessor", f"{service_id} cannot be started: {message}", hint=hint)
    if _PORT_TAKEN.search(message):
        return RuntimeFailure("PortInUse", message, hint="publish another port of this machine")
    if _NO_ISOLATION.search(message):
        hint = "install it and tell the engine of it, or remove isolation: from the manifest"
        return PermanentFailure("IsolationUnavailable", message, hint=hint)
    if answer.missing and "image" in message.lower():
        return RuntimeFailure("ImageMissing", f"the image of {service_id} is gone: {message}")
    return other_failure(answer, f"{service_id} cannot be started")


def other_failure(answer: EngineAnswer, what: str, reason: str = "") -> RuntimeFailure:
    """Anything else. `reason` names it unless the engine's disk is full, which is always that."""
    if _FULL.search(answer.message):
        hint = "free some space on the engine's disk: docker system df shows what takes it"
        return RuntimeFailure("OutOfDisk", f"{what}: {answer.message}", hint=hint)
    reason = reason or ("EngineError" if answer.status >= _SERVER_ERROR else "EngineRefused")
    # What it does not understand it will never understand; all else may be otherwise another time.
    kind = PermanentFailure if answer.status == _BAD_REQUEST else RuntimeFailure
    return kind(reason, f"{what}: {answer.message}")
