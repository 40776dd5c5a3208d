"""What is written by a program's author, and by no program while it runs: judged by name. Pure."""

from __future__ import annotations

#: What a file's kind begins with where its owner may execute it.
EXECUTABLE = b"x"
#: Source text of programs and of the pages that they serve.
_CODE = frozenset(
    (
        ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".py", ".pyi", ".sh", ".wasm",
        ".graphql", ".html", ".htm", ".css", ".scss", ".less", ".vue", ".svelte", ".astro", ".ejs", ".hbs",
        ".pug", ".njk", ".jinja", ".j2", ".jinja2", ".rb", ".pl", ".pm", ".php", ".lua", ".tcl", ".go", ".rs",
    )
)  # fmt: skip
_CODE_NAMES = frozenset(
    (
        "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml",
        "requirements.txt", "pyproject.toml", "uv.lock", "setup.cfg", "tsconfig.json", "atek.json",
        ".nvmrc", ".node-version", ".python-version",
    )
)  # fmt: skip
#: Configuration of whatever program.
_CONFIGURATION = frozenset(
    (".conf", ".cfg", ".cnf", ".ini", ".toml", ".yaml", ".yml", ".xml", ".env", ".properties", ".rules")
)


def is_code(name: str) -> bool:
    """Whether a file of this name, without its folders, is source text or says what a package needs."""
    return name in _CODE_NAMES or ending(name) in _CODE


def is_configuration(name: str) -> bool:
    """Whether people write a file of this name, and programs read it."""
    return ending(name) in _CONFIGURATION


def ending(name: str) -> str:
    """`.py`, in small letters; empty where there is none."""
    stem, dot, last = name.rpartition(".")
    return f"{dot}{last}".lower() if stem else ""
