"""Debian's PostgreSQL: its children take sessions of their own and overwrite their environment."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.programs import system
from tests.programs.traces import tree

if TYPE_CHECKING:
    from types import TracebackType

    from tests.programs.trial import Trial

USER = "postgres"
#: The server refuses to be root; as another user it still has to get at this node's home.
UNPRIVILEGED = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
UNPRIVILEGED += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
#: Makes the cluster at the first start, as `initdb` wants it; then becomes the server.
RUN = """
db=$ATEK_DATA_DIR/db
if [ ! -s "$db/PG_VERSION" ]; then
  {become} {initdb} --no-sync -U {user} -A trust -D "$db" || exit
fi
exec {become} {postgres} -D "$db" -p "$PORT" -c unix_socket_directories= -c max_connections={most}
"""


class Session:
    """An open psql: what it asks in one breath and in the next is the same session of the server."""

    def __init__(self, port: int) -> None:
        words = ["-h", "127.0.0.1", "-p", str(port), "-U", USER, "-d", "postgres", "-X", "-q", "-A", "-t"]
        self._psql = subprocess.Popen(
            [system.program("psql", "postgresql-client"), *words, "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ask(self, question: str) -> str:
        """The first line of its answer; empty when the session is over."""
        assert self._psql.stdin and self._psql.stdout
        self._psql.stdin.write(f"{question};\n")
        self._psql.stdin.flush()
        return self._psql.stdout.readline().rstrip("\n")

    def execute(self, statement: str) -> None:
        """A statement without an answer."""
        assert self.ask(f"{statement}; select 'done'") == "done"

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._psql.kill()
        self._psql.communicate()


def test_postgres(trial: Trial) -> None:
    trial.name, server = "PostgreSQL", system.program("postgres", "postgresql")
    trial.version = subprocess.check_output([server, "--version"], text=True).split()[2]
    asks = system.program("pg_isready", "postgresql-client")
    become = " ".join(UNPRIVILEGED) if os.geteuid() == 0 else ""

    def declare(most: int) -> None:
        script = RUN.format(
            become=become,
            initdb=system.program("initdb", "postgresql"),
            user=USER,
            postgres=server,
            most=most,
        )
        command = ["sh", "-c", script.replace("$", "$$")]
        # It takes connections while it recovers; SIGINT, its fast shutdown, does not wait for sessions.
        probe = {"exec": {"command": ["sh", "-c", f"{asks} -q -h 127.0.0.1 -p $PORT"]}, "periodSeconds": 1}
        trial.manifest(
            "db", command=command, port="auto", stop={"signal": "SIGINT"}, probes={"readiness": probe}
        )

    with trial.step("installed"):
        declare(20)
        trial.up()
        trial.installed("db")
    with trial.step("answers"), Session(trial.port("db")) as session:
        session.execute("create table cats (name text)")
        session.execute("insert into cats values ('Kitty')")
    with trial.step("adopted with an open session"), Session(trial.port("db")) as session:
        session.execute("create temporary table mine (value int)")
        trial.adopted("db")
        # Temporary tables are the session's: this is the old one, and the server lost none of its helpers.
        session.execute("insert into mine values (7)")
        assert session.ask("select sum(value) from mine") == "7"
        assert session.ask("select count(*) from pg_stat_activity where backend_type = 'checkpointer'") == "1"
    with trial.step("edited"):
        trial.rolled("db", lambda: declare(30))
        with Session(trial.port("db")) as session:
            assert session.ask("show max_connections") == "30"
            assert session.ask("select name from cats") == "Kitty"
    with trial.step("crashed"):
        trial.crashed("db")
        with Session(trial.port("db")) as session:
            assert session.ask("select name from cats") == "Kitty"
    with trial.step("stopped"), Session(trial.port("db")) as session:
        assert session.ask("select 1") == "1"
        assert len(tree(trial.pid("db"))) > 5
        trial.stopped("db")
