"""`python -m runtimes.router --link FD --doors FD --listen FD…`: the router, as `remote` starts it."""

from __future__ import annotations

import argparse

from runtimes.router.server import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m runtimes.router", description=__doc__)
    parser.add_argument("--link", type=int, required=True)
    parser.add_argument("--listen", type=int, action="append", default=[])
    parser.add_argument("--doors", type=int, required=True)
    arguments = parser.parse_args()
    run(arguments.link, arguments.listen, arguments.doors)
