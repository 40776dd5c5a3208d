"""Programs that hide what they fork, as databases, servers and careless scripts do.

Each says the numbers of its processes in `$ATEK_DATA_DIR/family` once all of them are as they will be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from runtimes.processes.proc import pids, read_stat

if TYPE_CHECKING:
    from runtimes.paths import Paths

_BEGIN = """
import os, signal, sys, time
folder = os.environ["ATEK_DATA_DIR"]
reading, writing = os.pipe()
def say(): os.write(writing, b"%d\\n" % os.getpid())
def hide(log=False):
    "Nothing of the mother's is left: own session, an environment of nothing, no descriptor."
    os.setsid()
    os.set_inheritable(writing, True)
    nowhere = os.open("/dev/null", os.O_RDWR)
    for number in (0,) if log else (0, 1, 2):
        os.dup2(nowhere, number)
    code = "import os, sys, time; os.write(%d, b'%%d\\\\n' %% os.getpid()); os.close(%d); time.sleep(1000)"
    os.execve(sys.executable, [sys.executable, "-c", code % (writing, writing)], {})
def told(count):
    heard = b""
    while heard.count(b"\\n") < count:
        heard += os.read(reading, 1000)
    open(folder + "/family.new", "wb").write(heard)
    os.rename(folder + "/family.new", folder + "/family")
"""
#: A daemon as they are written in C: forks twice, and lets go of everything between.
DAEMON = """
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork() == 0:
        hide()
    os._exit(0)
os.waitpid(middle, 0)
told(1)
time.sleep(1000)
"""
#: A database's workers: each in a session of its own, with its environment overwritten, still its children.
WORKERS = """
for _ in range(2):
    if os.fork() == 0:
        hide()
told(2)
time.sleep(1000)
"""
#: A daemon that has kept nothing but the log.
LOGGER = DAEMON.replace("hide()", "hide(log=True)")
#: Takes the seal off first, as PAM does: its resource limits are those of a new login.
UNSEALED = """
import resource
resource.setrlimit(10, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
#: What is told to end, and does not want to.
DEAF = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(); told(1)
time.sleep(1000)
"""


def program(body: str) -> list[str]:
    """The command that runs it."""
    return [sys.executable, "-c", _BEGIN + body]


async def family(paths: Paths, service_id: str = "app") -> list[int]:
    """The processes that the program has told of, as they are numbered here."""
    file = Path(paths.data(service_id)) / "family"
    with anyio.fail_after(20):
        while not file.exists():
            await anyio.sleep(0.01)
    told = [int(line) for line in file.read_text().split()]
    outside = {inside: pid for pid in _descendants(paths) if (inside := number_inside(pid))}
    return [outside.get(pid, pid) for pid in told]


def _descendants(paths: Paths) -> set[int]:
    """Of all instances that are recorded."""
    family = {json.loads(file.read_bytes())["pid"] for file in paths.records.glob("*.json")}
    stats = [stat for pid in pids() if (stat := read_stat(pid)) is not None]
    while more := {stat.pid for stat in stats if stat.parent in family} - family:
        family |= more
    return family


def number_inside(pid: int) -> int:
    """What a process in a sandbox takes itself for; 0 for one that is in none (proc_pid_status(5))."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return int(numbers[-1]) if len(numbers) > 1 else 0
