"""As little as a supervisor can be: starts everything with posix_spawn, and again what died."""

import os
import sys

program, address, *names = sys.argv[1:]


def start(name: str) -> int:
    return os.posix_spawn(program, [program, address, name], {"VALUE": "1"})


running = {start(name): name for name in names}
while True:
    pid, _ = os.wait()
    name = running.pop(pid)
    running[start(name)] = name
