"""Values whose meaning is docker-compose's: by name, the files of which it is asked; answers are recorded."""

from __future__ import annotations


def web(keys: str, **beside: str) -> dict[str, str]:
    """A file with one service that has these keys, one or more in a line each."""
    lines = "".join(f"    {line}\n" for line in keys.splitlines())
    top = "volumes: {data: }\n" if "data" in keys else ""
    return {"compose.yaml": f"services:\n  web:\n    image: app\n{lines}{top}", **beside}


def env_file(line: str, dot_env: str = "") -> dict[str, str]:
    """A variable A of an env file."""
    beside = {"app.env": f"{line}\n", **({".env": dot_env} if dot_env else {})}
    return {"compose.yaml": "services: {web: {image: app, env_file: app.env}}\n", **beside}


def dot_env(line: str) -> dict[str, str]:
    """A variable A of .env."""
    return {
        "compose.yaml": 'services: {web: {image: app, environment: {A: "${A-unset}"}}}\n',
        ".env": f"{line}\n",
    }


_LINES = [
    "A='x $B'", 'A="x $B"', "A=x #c", "A=x#c", "A=#x", "A= # c", "A=x\t#c", "A=x\t # c", "export A=1", "A: 1",
    "A", "A=", 'A="two\nlines"', "A='it\\'s'", 'A="x" y # z', "A='x'y", "A=$(x)", "A=$1", "A=x$", "A=$",
    "1A=x\nA=y", "a.b=x\nA=y", "a-b=x\nA=y", "A=x\x0cy", "A=x\x0by", "A=x\u2028y", "A=x\x85y", "A=$B",
    "A=${B}",
    "A=${B:-c}", "A=${B:+c}", "A=$C", "B=own\nA=$B", "A=$$B", "A=\\$B", 'A="\\$B"', 'A="a\\nb\\tc\\"d\\\\"',
    "A=a\\nb", "A = b", "export A = b", "A=b ", "A=b\r\nC=d\r\n", "  A=b", "\tA=b", "# c\n\nA=b", "\ufeffA=b",
    "A='a\nb'", "A=a=b", "A=\"a'b\"", "A='a\"b'", "A=$2b$10$abc", "A='", 'A="', "A B=c", "=x", "A=x\nA=y",
    "A=${C:-${B}}", "A=${C?missing}", "A={a}", "A=`x`", "A=a b c", "A=\"a\"b\"c\"", "export A", "A=\"x\" # y",
    "A=x'y # z'", "A=\"\"", "A=''", "A:b", "A :b", "A.B=x\nA=z", "A= b", "A=\tb",
]  # fmt: skip

_ENVIRONMENT = [
    "true", "1.50", "1.0", "0x1F", "010", "0o17", "1e3", ".5", "1_000", "on", "'on'", "-0", "+1", "1e400",
    "2001-01-01",
    '"a$$b"', '"$$"', '"$B"', '"${B}"', '"${C}"', '"${C:-d}"', '"${C-d}"', '"${E:-d}"', '"${E-d}"',
    '"${B:+d}"',
    '"${C:+d}"', '"${E:+d}"', '"${E+d}"', '"${C:?why}"', '"${E?why}"', '"${B:?why}"', '"${C:-${B}x}"',
    '"${C:-a}b}"',
    '"a$"', '"$1"', '"$(x)"', '"${}"', '"${B"', '"${1}"', '"$B.c"', '"$BC"', '"${C:-$B}"', '"${C:-$$B}"',
    '"${B:-${C:?x}}"', '"${C:+${D:?x}}"', '""', "", "~", "|\n  two\n  lines", '"\\u2028"',
    "1234567890123456789",
    "12345678901234567890", "1.10", "1e-7", "0.1", "100000000000000000000000.0", "123456789.0", "1.5e10",
    "Yes", "null",
]  # fmt: skip

_COMMANDS = [
    'sh -c "echo \\$$HOME"', "a 'b c' d", 'a "b\\nc"', "a; b", "a | b", "a & b", "a < b", "a > b", "a 2> b",
    "a (b)",
    "a `b`", "a\\ b", "a ''", 'a ""', "a $$(b) c", "a '", "a # b", "a b\\", "'a'\"b\"c", "a\n  b",
    "a \"'\" b",
    "a \"b;c\" d", "a'b c'd", "a\\;b", "1> b", "a $$HOME", "a 1>b", "a=b c", "  a  ", "a\tb",
    "a \"$$(b c)\" d",
    "a '$$(b)'", "a \"\\\\\" b", "a '\\'", "a)b c", "a (", "\"a b\"", "é ü",
]  # fmt: skip

_PORTS = [
    '"8080:80"', '"80"', "80", '"90-92"', '"53/UDP"', '"53:53/udp"', '":80:80"', '"127.0.0.1::80"',
    '"127.0.0.1:80:80"',
    '"8080-8081:80"', '"8080-8081:80-81"', '"8080-8082:80-81"', '"0:80"', '":80"', '"80:80/sctp"',
    '"80:80/icmp"',
    "53:53", '"[::1]:80:80"', '"::1:80:80"', '"0.0.0.0:80:80"', '"::80:80"', '"[::]:80:80"', '"99999:80"',
    '"a:80"',
    "{target: 80}", "{target: 80, published: 8080}", '{target: 80, published: "8080-8090"}', '{target: "80"}',
    "{target: 80, host_ip: 127.0.0.1}", "{target: 80, published: 80, protocol: udp, mode: host}",
    '"80:80", "80:80"', '"80:80", "80:80/tcp"', '"80:80", "81:80"', '"localhost:80:80"', '"80:80/"',
    '" 80:80"',
    '"80-80:80"', '"1.2.3.4:1-3:1-3/udp"', '"82-80:80"', "{published: 80}", "8080:80", '"80:80/TCP"',
    "{target: 80, published: 0}",
]  # fmt: skip

_VOLUMES = [
    "./a:/b", "../a:/b", "../../a:/b", ".:/b", "..:/b", "a/b:/c", "/a/../b:/c", "/a:/b/../c", "/a:/b/",
    "~/x:/y", "~:/y",
    "data:/d", "data:/d:ro", "data:/d:rw", "data:/d:nocopy", "'data:/d:ro,nocopy'", "/a:/b:z",
    "'/a:/b:Z,ro'", "/a:/b:cached",
    "/a:/b:rslave", "/d", "nowhere:/d", "{type: bind, source: ~/x, target: /y}",
    "{type: bind, source: ./x, target: /y}",
    "{type: bind, source: x, target: /y}", "{type: bind, source: /x, target: /y, read_only: true}",
    "{type: bind, source: /x, target: /y, bind: {create_host_path: false}}",
    "{type: volume, source: data, target: /y}",
    "{type: volume, source: data, target: /y, volume: {nocopy: true}}", "{type: volume, target: /y}",
    "{source: data, target: /y}", "{type: bind, target: /y}", "{type: bind, source: ../x/./y, target: /y/}",
    "d:/d",
    "/a:/b:ro:z", "./a/../../b:/c", "data:d", "/a:/b:bad", '"./a b:/c"', "/a/:/b", "/a//b:/c", "./:/a",
    "{type: tmpfs, target: /x}",
]  # fmt: skip

_SIZES = ["512", "512m", "512M", "512mb", "0.5g", "1.5GiB", "'1e9'", "1e9", "'0'", "0", "1Mib",
          "'512 m'", "5tb", ".5m",
          "512b", "1p", "x", "''", "-1", "1_0m", "1 g b", "1.5", "'1.5'"]  # fmt: skip
_TIMES = [
    "10s",
    "1m30s",
    "500ms",
    "1h",
    "0s",
    "10",
    "'10'",
    "1.5s",
    "1d",
    "-5s",
    "''",
    "1m 30s",
    "5us",
    "1µs",
    "100ns",
    "0",
]

_CHECKS = [
    "{}", "{disable: false}", "{disable: true}", "{test: [NONE]}", "{test: NONE}",
    "{test: [CMD-SHELL, a, b]}",
    "{test: [CMD-SHELL, a b]}", "{test: [CMD, a, b]}", "{test: a b}", "{test: [a, b]}", "{test: []}",
    "{interval: 5s}",
    "{test: a, interval: 1m30s, timeout: 5s, retries: 7, start_period: 10s}", '{test: ["CMD"]}',
    "{test: a, retries: '5'}",
    "{test: a, interval: 0s}", "{test: '$$A'}", "{test: a, disable: true}", "{retries: 3}",
    "{test: a, retries: 0}",
    "{test: ''}",
]  # fmt: skip

_OTHERS = {
    "restart no": "restart: no", "restart 'no'": 'restart: "no"', "restart false": "restart: false",
    "restart empty": "restart:",
    "restart on-failure": "restart: on-failure", "restart always": "restart: always",
    "restart unless-stopped": "restart: unless-stopped", "restart ''": "restart: ''",
    "command empty list": "command: []", "command null": "command:", "command ''": "command: ''",
    "command list": "command: [a, 'b c', $$d, '']", "command numbers": "command: [a, 1, 2.50, true]",
    "entrypoint empty list": "entrypoint: []", "entrypoint ''": "entrypoint: ''",
    "entrypoint text": "entrypoint: a 'b c'",
    "stop_signal RT": "stop_signal: SIGRTMIN+3", "stop_signal short": "stop_signal: INT",
    "stop_signal number": "stop_signal: '9'",
    "memory twice": "mem_limit: 1g\ndeploy: {resources: {limits: {memory: 2g}}}",
    "memory twice the same": "mem_limit: 1g\ndeploy: {resources: {limits: {memory: 1024m}}}",
    "cpus twice": "cpus: 1\ndeploy: {resources: {limits: {cpus: '2'}}}",
    "cpus twice the same": "cpus: 1\ndeploy: {resources: {limits: {cpus: '1.0'}}}",
    "pids twice": "pids_limit: 1\ndeploy: {resources: {limits: {pids: 2}}}",
    "scale twice": "scale: 2\ndeploy: {replicas: 3}",
    "scale twice the same": "scale: 2\ndeploy: {replicas: 2}",
    "scale": "scale: 2", "scale text": "scale: '2'", "cpus": "cpus: 0.5", "cpus text": "cpus: '.5'",
    "cpus 0": "cpus: 0",
    "pids -1": "pids_limit: -1", "pids 0": "pids_limit: 0",
    "two documents": "user: a\n", "labels listed": "labels: [a=1, b, c=]",
    "labels": "labels: {a: 1, b: , c: 1.0, d: true}",
    "environment listed": "environment: [A=a, B=, C, D=a=b, 'E=$$x', F=a b ]",
    "environment names": "environment: {a.b: x, a-b: y, 1A: z}",
    "environment names listed": "environment: [a.b=x, 'a b=c']",
    "user number": "user: 1000", "user both": "user: 1000:1000", "user group": "user: ':5'",
    "read_only text": "read_only: 'true'",
    "read_only yes": "read_only: yes", "merge": "environment: &e {A: a}\nlabels: {<<: *e, A: b}",
    "merge list": "x-a: &a {A: 1, B: 1}\nx-b: &b {A: 2, C: 2}\nenvironment: {<<: [*a, *b]}",
    "duplicate keys": "user: a\nuser: b", "merge twice": "x-a: &a {A: 1}\nenvironment: {<<: *a, <<: *a}",
    "merge null": "environment: {<<: null, A: b}", "unknown key": "nothing: 1",
    "image with variable": "user: ${U:-me}",
    "depends_on listed": "depends_on: [web]", "env twice": "environment: [A=a, A=b]",
    "key with variable": "environment: {'${B}': x}", "expose": "expose: [80, '90-92', 53/udp]",
}  # fmt: skip

_PAIR = "services: {web: {image: a, depends_on: %s}, db: {image: b}}\n"
_WHOLE = {
    "depends_on listed twice": _PAIR % "[db]",
    "depends_on table": _PAIR % "{db: {condition: service_healthy}}",
    "depends_on completed": _PAIR % "{db: {condition: service_completed_successfully}}",
    "depends_on empty table": _PAIR % "{db: {}}", "depends_on null": _PAIR % "{db: }",
    "depends_on unknown": _PAIR % "[x]",
    "two documents with a service each": "services: {web: {image: a}}\n---\nservices: {db: {image: b}}\n",
    "two documents of one service": "services: {web: {image: a, user: x}}\n---\nservices: {web: {user: y}}\n",
    "empty service": "services: {web: }\n", "no services": "services: {}\n",
    "a name": "name: My.App\nservices: {a: {image: x}}\n",
    "a name of nothing": "name: '!'\nservices: {a: {image: x}}\n",
    "services with odd names": "services: {a_b.c-d: {image: x}}\n",
}  # fmt: skip

_BEFORE = "B=bee\nE=\n"

CASES: dict[str, dict[str, str]] = {
    **{f"env_file {line!r}": env_file(line, _BEFORE) for line in _LINES},
    **{f"env_file alone {line!r}": env_file(line) for line in _LINES if "B" in line},
    **{f".env {line!r}": dot_env(line) for line in _LINES},
    **{
        f"environment {value!r}": web(f"environment:\n  A: {value}", **{".env": _BEFORE})
        for value in _ENVIRONMENT
    },
    **{f"command {text!r}": web("command: >-\n  " + text) for text in _COMMANDS},
    **{f"ports {text}": web(f"ports: [{text}]") for text in _PORTS},
    **{f"volumes {text}": web(f"volumes: [{text}]") for text in _VOLUMES},
    **{f"mem_limit {text}": web(f"mem_limit: {text}") for text in _SIZES},
    **{
        f"limits.memory {text}": web(f"deploy: {{resources: {{limits: {{memory: {text}}}}}}}")
        for text in _SIZES
    },
    **{f"stop_grace_period {text}": web(f"stop_grace_period: {text}") for text in _TIMES},
    **{f"healthcheck {text}": web(f"healthcheck: {text}") for text in _CHECKS},
    **{name: web(keys) for name, keys in _OTHERS.items()},
    **{name: {"compose.yaml": text} for name, text in _WHOLE.items()},
    "env files in a row": {
        "compose.yaml": "services: {web: {image: a, env_file: [a.env, b.env]}}\n", "a.env": "B=first\n",
        "b.env": "A=$B\n",
    },
    "env files in a row, known": {
        "compose.yaml": "services: {web: {image: a, env_file: [a.env, b.env]}}\n", "a.env": "B=first\n",
        "b.env": "A=$B\n",
        ".env": "B=bee\n",
    },
    "env file below": {
        "compose.yaml": "services: {web: {image: a, env_file: conf/a.env}}\n",
        "conf/a.env": "A=x\n",
    },
    "raw env file": {
        "compose.yaml": "services: {web: {image: a, env_file: [{path: a.env, format: raw}]}}\n",
        "a.env": "A='x' # $B\nC=\"y\"\n",
    },
    "environment over env file": {
        "compose.yaml": "services: {web: {image: a, env_file: a.env, environment: {A: x, B: }}}\n",
        "a.env": "A=1\nB=2\n",
    },
    "no env file": {"compose.yaml": "services: {web: {image: a, env_file: a.env}}\n"},
    "overridden": {
        "compose.yaml": "services: {web: {image: a, command: [a], environment: {A: a}, ports: ['80:80']}}\n",
        "compose.override.yaml": (
            "services: {web: {command: [b], environment: [B=b], ports: ['81:80']}, db: {image: x}}\n"
        ),
    },
    "overridden under another name": {
        "compose.yaml": "services: {web: {image: a}}\n",
        "docker-compose.override.yml": "services: {web: {image: b}}\n",
    },
}  # fmt: skip
