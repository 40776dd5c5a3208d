"""`atek doctor`: prints what `runtimes.doctor` found out about this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.output import clean, has_colour, pad, paint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from runtimes.doctor import Check

_NAME_WIDTH = 14


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when something necessary is missing."""
    from reconciler.state.settings import SettingsError, load_settings
    from runtimes.doctor import Check, check

    try:
        settings = load_settings(arguments.home, {})
        checks = check(arguments.home, settings.port, settings.users)
    except SettingsError as error:
        # Which port that would be nobody knows.
        checks = [Check("settings", False, error.message, error.hint), *check(arguments.home, None)]
    for line in report(checks, colour=has_colour()):
        print(line)
    return int(any(one.necessary and not one.ok for one in checks))


def report(checks: Sequence[Check], *, colour: bool) -> Iterator[str]:
    """One line for each check, and beneath a failed one how to mend it."""
    for one in checks:
        sign, hue = ("✓", "green") if one.ok else ("✗", "red") if one.necessary else ("!", "yellow")
        yield f"{paint(sign, hue, enabled=colour)} {pad(clean(one.name), _NAME_WIDTH)} {clean(one.message)}"
        if one.hint and not one.ok:
            yield f"  {' ' * _NAME_WIDTH} hint: {clean(one.hint)}"
