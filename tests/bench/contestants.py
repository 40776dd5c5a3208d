"""Those who are compared, behind one Protocol: each starts many beacons and keeps them up and up to date."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.bench.processes import children_of, command_line

if TYPE_CHECKING:
    from tests.bench.beacons import Beacons


class Contestant(Protocol):
    """One supervisor."""

    @property
    def name(self) -> str: ...

    def start(self, names: list[str]) -> None:
        """Configures and starts; returns when the command was given, not when all are up."""
        ...

    def edit(self, name: str, value: str) -> None:
        """Saves a changed value, and gives the command that makes it noticed, if one is needed."""
        ...

    def pids(self) -> list[int]:
        """The supervisor's own processes."""
        ...

    def stop(self) -> None: ...


class Files:
    """A folder of its own, and quiet commands."""

    def __init__(self, beacons: Beacons) -> None:
        self.beacons = beacons
        self.folder = Path(tempfile.mkdtemp(prefix="atek-bench-"))
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str | Path, **environment: str) -> None:
        subprocess.run(
            [str(word) for word in words], check=True, capture_output=True, env={**os.environ, **environment}
        )

    def begin(self, *words: str | Path, **environment: str) -> None:
        with open(self.folder / "supervisor.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )  # fmt: skip

    def replace(self, path: Path, text: str) -> None:
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.rename(path)

    def pids(self) -> list[int]:
        return [self.process.pid] if self.process else []

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        subprocess.run(["pkill", "-KILL", "-f", str(self.beacons.program)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class SpawnLoop(Files):
    """The limit: nothing but posix_spawn, and a wait for whoever died."""

    name = "spawn loop"

    def start(self, names: list[str]) -> None:
        program = Path(__file__).with_name("spawn_loop.py")
        self.begin(sys.executable, "-S", "-E", program, self.beacons.program, self.beacons.address, *names)

    def edit(self, name: str, value: str) -> None:
        raise NotSupportedError


class NotSupportedError(Exception):
    """This contestant has nothing of the kind."""


class Atek(Files):
    """Ours, or the command of another version."""

    name = "atek"

    def __init__(self, beacons: Beacons, atek: str | None = None) -> None:
        super().__init__(beacons)
        self._atek = atek or str(Path(sys.executable).with_name("atek"))

    def start(self, names: list[str]) -> None:
        (self.folder / "m").mkdir()
        for name in names:
            self.edit(name, "1")
        home = self.folder / "h"
        home.mkdir(mode=0o700)
        (home / "config.toml").write_text("coreServices = []\n")
        # As bare as the others; earlier versions know no such key, and take no notice of a variable.
        self.begin(self._atek, "up", self.folder / "m", "--home", home, "--port", "0", ATEK_SANDBOX="none")

    def pids(self) -> list[int]:
        """The node and its router."""
        assert self.process
        children = children_of(self.process.pid)
        return [self.process.pid, *(pid for pid in children if b"runtimes.router" in command_line(pid))]

    def edit(self, name: str, value: str) -> None:
        words = ", ".join(self.beacons.command(name))
        text = f"id: {name}\nruntime: process\ncommand: [{words}]\nenv: {{VALUE: '{value}'}}\n"
        self.replace(self.folder / "m" / f"{name}.yaml", f"{text}probes: {{readiness: none}}\n")

    def address(self) -> str:
        """The node's own, from the first line that it prints."""
        first = (self.folder / "supervisor.log").read_text().split(" on ", 1)[1]
        return first.split(",", 1)[0]


class S6(Files):
    """s6-svscan over a scan directory."""

    name = "s6"

    def start(self, names: list[str]) -> None:
        for name in names:
            (self.folder / "scan" / name).mkdir(parents=True)
            self._write(name, "1")
        self.begin("s6-svscan", self.folder / "scan")

    def edit(self, name: str, value: str) -> None:
        self._write(name, value)
        self.run("s6-svc", "-r", self.folder / "scan" / name)

    def _write(self, name: str, value: str) -> None:
        run = self.folder / "scan" / name / "run"
        self.replace(run, f"#!/bin/sh\nVALUE={value} exec {' '.join(self.beacons.command(name))}\n")
        run.chmod(0o755)

    def pids(self) -> list[int]:
        assert self.process
        return [self.process.pid, *children_of(self.process.pid)]


class Supervisord(Files):
    """supervisord with a file for each program."""

    name = "supervisord"

    def __init__(self, beacons: Beacons, cache: Path) -> None:
        super().__init__(beacons)
        self._bin = cache / "supervisor" / "bin"

    def start(self, names: list[str]) -> None:
        (self.folder / "conf").mkdir()
        for name in names:
            self._write(name, "1")
        socket = self.folder / "s.sock"
        self._config = self.folder / "supervisord.conf"
        self._config.write_text(
            f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
            f"pidfile={self.folder}/pid\n[unix_http_server]\nfile={socket}\n"
            f"[supervisorctl]\nserverurl=unix://{socket}\n[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[include]\nfiles={self.folder}/conf/*.conf\n"
        )
        self.begin(self._bin / "supervisord", "-c", self._config)

    def edit(self, name: str, value: str) -> None:
        self._write(name, value)
        self.run(self._bin / "supervisorctl", "-c", self._config, "update", name)

    def _write(self, name: str, value: str) -> None:
        command = " ".join(self.beacons.command(name))
        text = f"[program:{name}]\ncommand={command}\nenvironment=VALUE={value}\nautorestart=true\n"
        text += "startsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"
        self.replace(self.folder / "conf" / f"{name}.conf", text)


class Circus(Files):
    """circusd with a file for each watcher."""

    name = "circus"

    def __init__(self, beacons: Beacons, cache: Path) -> None:
        super().__init__(beacons)
        self._bin = cache / "circus" / "bin"

    def start(self, names: list[str]) -> None:
        (self.folder / "conf").mkdir()
        for name in names:
            self._write(name, "1")
        config = self.folder / "circus.ini"
        self._endpoint = f"ipc://{self.folder}/c.ipc"
        config.write_text(
            f"[circus]\nendpoint={self._endpoint}\npubsub_endpoint=ipc://{self.folder}/p.ipc\n"
            f"include_dir={self.folder}/conf\n"
        )
        self.begin(self._bin / "circusd", config)

    def edit(self, name: str, value: str) -> None:
        self._write(name, value)
        self.run(self._bin / "circusctl", "--endpoint", self._endpoint, "reloadconfig")

    def _write(self, name: str, value: str) -> None:
        program, *words = self.beacons.command(name)
        text = f"[watcher:{name}]\ncmd={program}\nargs={' '.join(words)}\n[env:{name}]\nVALUE={value}\n"
        self.replace(self.folder / "conf" / f"{name}.ini", text)


class Pm2(Files):
    """PM2 with one ecosystem file."""

    name = "PM2"

    def __init__(self, beacons: Beacons, cache: Path) -> None:
        super().__init__(beacons)
        self._pm2 = cache / "pm2" / "node_modules" / ".bin" / "pm2"
        self._values: dict[str, str] = {}

    def start(self, names: list[str]) -> None:
        self._values = dict.fromkeys(names, "1")
        self._file = self.folder / "ecosystem.json"
        self._write()
        self.begin(self._pm2, "start", self._file, PM2_HOME=str(self.folder / "home"))

    def edit(self, name: str, value: str) -> None:
        self._values[name] = value
        self._write()
        self.run(
            self._pm2, "restart", self._file, "--only", name, "--update-env",
            PM2_HOME=str(self.folder / "home"),
        )  # fmt: skip

    def _write(self) -> None:
        import json

        apps = []
        for name, value in self._values.items():
            program, *words = self.beacons.command(name)
            apps.append(
                {"name": name, "script": program, "args": words, "interpreter": "none",
                 "env": {"VALUE": value}, "out_file": "/dev/null", "error_file": "/dev/null"}
            )  # fmt: skip
        self.replace(self._file, json.dumps({"apps": apps}))

    def pids(self) -> list[int]:
        return [int((self.folder / "home" / "pm2.pid").read_text())]

    def stop(self) -> None:
        subprocess.run(
            [str(self._pm2), "kill"], capture_output=True, check=False,
            env={**os.environ, "PM2_HOME": str(self.folder / "home")},
        )  # fmt: skip
        if self.process is not None:
            self.process.wait(30)
            self.process = None
        super().stop()
