"""`python -m runtimes.router --link FD --listen FD…`: the router's process, as `remote` starts it."""

from __future__ import annotations

import argparse

from runtimes.router.server import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m runtimes.router", description=__doc__)
    parser.add_argument("--link", type=int, required=True)
    parser.add_argument("--listen", type=int, action="append", default=[])
    arguments = parser.parse_args()
    run(arguments.link, arguments.listen)
