"""`autoUpdate`: that newer releases are taken by themselves, when, and whether somebody is asked first.

    schedule: 6h              so long after the last look
    schedule: daily           at midnight; hourly: at each full hour
    schedule: "30 4 * * SUN"  five fields as cron has them: minute, hour, day, month, day of the week

By this machine's clock and zone. Nothing that runs depends on it: it makes no new revision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from manifests.model.base import Model, Text
from manifests.model.quantities import parse_duration
from manifests.model.semver import parse_range

if TYPE_CHECKING:
    from datetime import datetime

_NAMED = {"hourly": "0 * * * *", "daily": "0 0 * * *"}
_FIELDS = 5
#: A server is not asked more often than a Git source's.
_SHORTEST = 1.0


def _schedule(value: Any) -> Any:
    text = str(value).strip()
    if text in _NAMED:
        return text
    if len(text.split()) == _FIELDS:
        _check_line(text)
        return text
    try:
        seconds = parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError:
        raise ValueError(
            f"{text[:80]!r} is no schedule; write for example 6h, daily, hourly or 30 4 * * SUN"
        ) from None
    if seconds < _SHORTEST:
        raise ValueError("a schedule is at least 1s: servers are asked each time")
    return text


Schedule = Annotated[Text, BeforeValidator(_schedule)]


def _image(rule: str) -> str:
    if rule != "digest":
        parse_range(rule)
    return rule


class AutoUpdate(Model):
    """`ask`: what is newer waits until a person takes it, as it does anyway where a service keeps data.

    `image`: of a container's image, `digest` (whatever its tag is now) or a range of its tags. `write_back`:
    what works is committed to the Git source that has the manifest, and pushed.
    """

    image: Annotated[Text, AfterValidator(_image)] | None = None
    schedule: Schedule = "daily"
    approve: Literal["auto", "ask"] = "auto"
    write_back: bool = False


def pause(schedule: str) -> float | None:
    """The seconds between two looks; None where the calendar says when: `next_time`."""
    if schedule in _NAMED or len(schedule.split()) == _FIELDS:
        return None
    return parse_duration(float(schedule) if schedule.replace(".", "", 1).isdecimal() else schedule)


def next_time(schedule: str, after: datetime) -> datetime:
    """The calendar's first time after `after`; both by the clock on the wall, without a zone."""
    # Not at the top: few manifests have one, and all nodes start.
    from cronsim import CronSim

    return next(CronSim(_NAMED.get(schedule, schedule), after))


def _check_line(line: str) -> None:
    from datetime import datetime

    from cronsim import CronSimError

    try:
        next_time(line, datetime(2000, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{line!r} is no line of cron: {str(error).lower()}") from None
    except StopIteration:
        raise ValueError(f"{line!r} never comes") from None
