"""What the README of the commands says is so: its commands, their options, and its settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.state.settings import load_settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "reconciler" / "cli" / "README.md").read_text("utf-8")
TABLE = README.split("\n\n")[1]
#: Each command as it is written there: its words up to the next one, or to what it does.
WRITTEN = re.findall(r"atek ([a-z]+)((?: (?! )\S+)*)", TABLE)


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_it_has_every_command_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    there = set(re.findall(r"^    ([a-z]+) ", helped(capsys), re.MULTILINE))
    assert {name for name, _ in WRITTEN} == there


@pytest.mark.parametrize(("name", "rest"), WRITTEN)
def test_every_option_is_one(name: str, rest: str, capsys: pytest.CaptureFixture[str]) -> None:
    # `secret` and `user` have commands of their own, and a shell's substitution has another command in it.
    words = [name, *(rest.split()[:1] if name in ("secret", "user") else ())]
    text = helped(capsys, *words)
    for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", re.sub(r"\$\([^)]*\)|'[^']*'", "", rest)):
        assert re.search(rf"(?<![\w-]){option}\b", text), f"atek {' '.join(words)} has no {option}"


def mentioned() -> list[tuple[str, str]]:
    """Commands that any README names, with what follows."""
    names = (
        "README.md",
        "manifests/README.md",
        "runtimes/router/README.md",
        "runtimes/sandbox/README.md",
        "hyper/README.md",
        "tests/bench/README.md",
    )
    texts = ((ROOT / name).read_text("utf-8") for name in names)
    return sorted(
        {
            found
            for text in texts
            for found in re.findall(r"(?:`|^)atek ([a-z]+)([^`\n#]*)", text, re.MULTILINE)
        }
    )


@pytest.mark.parametrize(("name", "rest"), mentioned())
def test_every_command_that_is_mentioned_is_one(
    name: str, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    test_every_option_is_one(name, rest, capsys)


def settings() -> list[str]:
    """What the READMEs of this repository have of a config file."""
    texts = ((ROOT / name).read_text("utf-8") for name in ("manifests/README.md", "reconciler/cli/README.md"))
    return [block for text in texts for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("written", settings())
def test_every_setting_is_one(written: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(written.replace('"…"', f'"{"0" * 64}"'))
    assert load_settings(tmp_path, {}) != load_settings(tmp_path / "nowhere", {})
