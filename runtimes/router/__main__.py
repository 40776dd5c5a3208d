"""`python -m runtimes.router --link FD --doors FD --listen FD… [--tunnel FD]`, as `remote` starts it."""

from __future__ import annotations

import argparse

from runtimes.router.server import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m runtimes.router", description=__doc__)
    parser.add_argument("--link", type=int, required=True)
    parser.add_argument("--listen", type=int, action="append", default=[])
    parser.add_argument("--doors", type=int, required=True)
    parser.add_argument("--tunnel", type=int, default=-1)
    arguments = parser.parse_args()
    run(arguments.link, arguments.listen, arguments.doors, arguments.tunnel)
