"""Compose files as people have them at home: name → text, and by id a part of what each service becomes."""

from __future__ import annotations

from typing import Any, NamedTuple


class Example(NamedTuple):
    text: str
    services: dict[str, dict[str, Any]]


EXAMPLES = {
    "wiki": Example("""
name: wiki
services:
  db:
    image: postgres:16-alpine
    restart: unless-stopped
    environment:
      POSTGRES_USER: wiki
      POSTGRES_PASSWORD: ${DB_PASSWORD}
    volumes: ["db-data:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD-SHELL", "pg_isready -U $${POSTGRES_USER}"]
      interval: 10s
      timeout: 5s
      retries: 5
  wiki:
    image: ghcr.io/example/wiki:2
    depends_on: {db: {condition: service_healthy}}
    environment: [DB_HOST=db, "DB_PASS=${DB_PASSWORD}"]
    ports: ["3000:3000"]
    restart: unless-stopped
volumes:
  db-data:
""", {
        "wiki-db": {
            "env": {"POSTGRES_USER": "wiki", "POSTGRES_PASSWORD": "secret"},
            "volumes": ["db-data:/var/lib/postgresql/data"],
            "probes": {"readiness": {
                "exec": {"command": ["/bin/sh", "-c", "pg_isready -U ${POSTGRES_USER}"]},
                "timeoutSeconds": 5.0, "failureThreshold": 5,
            }},
            "project": {"name": "wiki", "aliases": ["db"]},
        },
        "wiki": {
            "dependsOn": [{"id": "wiki-db"}], "env": {"DB_HOST": "db", "DB_PASS": "secret"},
            "publish": ["*:3000:3000"], "port": 3000,
        },
    }),
    "photos": Example("""
name: photos
x-common: &common
  restart: always
  env_file: [app.env]
services:
  server:
    <<: *common
    image: example/photos:${TAG:-release}
    volumes: ["/srv/photos:/data", "/etc/localtime:/etc/localtime:ro"]
    ports: ["2283:2283"]
    depends_on: [redis, database]
  learning: {<<: *common, image: "example/photos-ml:${TAG:-release}", volumes: ["cache:/cache"]}
  redis:
    image: redis:7
    healthcheck: {test: redis-cli ping || exit 1}
    restart: always
  database:
    image: postgres:14@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    environment: {POSTGRES_INITDB_ARGS: --data-checksums}
    volumes: ["./postgres:/var/lib/postgresql/data"]
    restart: always
volumes: {cache: }
""", {
        "photos-server": {
            "image": "example/photos:release", "env": {"LOG": "info", "QUOTED": "a b"},
            "volumes": ["/srv/photos:/data", "/etc/localtime:/etc/localtime:ro"],
            "dependsOn": [
                {"id": "photos-redis", "condition": "started"},
                {"id": "photos-database", "condition": "started"},
            ],
        },
        "photos-learning": {"env": {"LOG": "info", "QUOTED": "a b"}, "probes": {"readiness": "none"}},
        "photos-redis": {"probes": {"readiness": {
            "exec": {"command": ["/bin/sh", "-c", "redis-cli ping || exit 1"]},
            "periodSeconds": 30.0, "timeoutSeconds": 30.0,
        }}},
        "photos-database": {"volumes": ["/srv/home/postgres:/var/lib/postgresql/data"]},
    }),
    "dashboard": Example("""
version: "3.8"
services:
  dashboard:
    image: example/dashboard
    container_name: my-dashboard
    ports: ["127.0.0.1:8080:8080/tcp"]
    volumes: ["./conf:/app/conf:ro"]
    labels: ["group=home", plain]
""", {"home-dashboard": {
        "publish": ["127.0.0.1:8080:8080"], "labels": {"group": "home", "plain": ""},
        "restart": {"policy": "never"}, "project": {"name": "home", "aliases": ["dashboard", "my-dashboard"]},
    }}),
    "media": Example("""
services:
  media:
    image: example/media:latest
    network_mode: host
    environment: [PUID=1000, PGID=1000, TZ=Etc/UTC]
    volumes: ["config:/config", {type: bind, source: /srv/media, target: /media, read_only: true}]
    restart: unless-stopped
volumes: {config: {}}
""", {"home-media": {"network": "host", "volumes": ["config:/config", "/srv/media:/media:ro"]}}),
    "git forge": Example("""
name: forge
services:
  server:
    image: example/forge:1.21
    environment: {USER_UID: 1000, FORGE__database__HOST: "db:5432", FORGE__ssh__ON: true}
    ports: ["3000:3000", "222:22"]
    depends_on: [db]
  db:
    image: mariadb:11
    command: --transaction-isolation=READ-COMMITTED --log-bin='bin log'
    volumes: ["db:/var/lib/mysql"]
volumes: {db: null}
""", {
        "forge-server": {
            "publish": ["*:3000:3000", "*:222:22"],
            "env": {"USER_UID": "1000", "FORGE__database__HOST": "db:5432", "FORGE__ssh__ON": "true"},
        },
        "forge-db": {"command": ["--transaction-isolation=READ-COMMITTED", "--log-bin=bin log"]},
    }),
    "password vault": Example("""
services:
  vault:
    image: example/vault:1.30
    environment: {DOMAIN: "https://v.example.com", ADMIN_TOKEN: "${ADMIN_TOKEN:?set it}", SIGNUPS: "false"}
    volumes: ["./vw-data:/data/"]
    expose: ["80"]
    restart: always
""", {"home-vault": {"env": {"DOMAIN": "https://v.example.com", "ADMIN_TOKEN": "a$b", "SIGNUPS": "false"},
                "port": 80, "volumes": ["/srv/home/vw-data:/data/"]}}),
    "DNS blocker": Example("""
services:
  blocker:
    image: example/blocker:latest
    ports: ["53:53/tcp", "53:53/udp", "8080:80/tcp"]
    environment: {WEBPASSWORD: }
    cap_add: [NET_ADMIN]
    volumes: ["/var/lib/blocker"]
""", {"home-blocker": {
        "publish": ["*:53:53", "*:53:53/udp", "*:8080:80"], "port": 53,
        "env": {"WEBPASSWORD": "web"}, "volumes": ["blocker-var-lib-blocker:/var/lib/blocker"],
    }}),
    "reverse proxy": Example("""
services:
  proxy:
    image: example/proxy:2
    ports:
      - {target: 80, published: "80", protocol: tcp, mode: host}
      - {target: 443, published: 443, host_ip: "::1"}
      - {target: 443, published: 443, protocol: udp}
    volumes: [{type: volume, source: certs, target: /certs}]
    networks: [default]
networks: {default: }
volumes: {certs: }
""", {"home-proxy": {"publish": ["*:80:80", "[::1]:443:443", "*:443:443/udp"], "port": 80}}),
    "home automation": Example("""
services:
  broker:
    image: example/broker:2
    ports: ["1883:1883", "9001-9003:9001-9003"]
    user: "1883:1883"
  flows:
    image: example/flows
    networks: {default: {aliases: [nodered]}}
    stop_signal: SIGINT
    stop_grace_period: 1m30s
""", {
        "home-broker": {"publish": [f"*:{port}:{port}" for port in (1883, 9001, 9002, 9003)],
                   "user": "1883:1883"},
        "home-flows": {"stop": {"signal": "SIGINT", "gracePeriod": 90.0},
                  "project": {"name": "home", "aliases": ["flows", "nodered"]}},
    }),
    "monitoring": Example("""
name: Monitoring
services:
  metrics:
    image: example/metrics
    command: ["--config=/etc/m.yml", "--retention=15d"]
    deploy: {resources: {limits: {memory: 512M, cpus: "0.50", pids: 100}}}
  graphs:
    image: example/graphs:11
    user: 472
    mem_limit: 1.5gb
    cpus: 2
    pids_limit: 0
""", {
        "monitoring-metrics": {"resources": {"memory": 512 * 2**20, "cpu": 0.5, "pids": 100},
                               "command": ["--config=/etc/m.yml", "--retention=15d"]},
        "monitoring-graphs": {"resources": {"memory": 3 * 2**29, "cpu": 2.0}, "user": "472"},
    }),
    "cloud": Example("""
name: cloud
services:
  cron: {image: example/cloud, entrypoint: /cron.sh, volumes: ["files:/var/www"], depends_on: [app]}
  app: {image: example/cloud, volumes: ["files:/var/www"], ports: ["8081:80"]}
volumes: {files: }
""", {"cloud-cron": {"entrypoint": ["/cron.sh"]}, "cloud-app": {"volumes": ["files:/var/www"]}}),
    "built in stages": Example("""
x-restart: &restart {restart: always}
services:
  app:
    <<: *restart
    x-note: mine
    build:
      context: https://example.com/apps.git#v2:web
      dockerfile: docker/web.Dockerfile
      args: {VERSION: 2, DEBUG: "true", NOTHING: }
      target: final
    depends_on: {schema: {condition: service_completed_successfully}}
  schema: {build: {context: ., args: [A=1]}}
""", {"home-app": {"source": "https://example.com/apps.git#v2:web", "build": {
          "dockerfile": "docker/web.Dockerfile", "target": "final",
          "args": {"VERSION": "2", "DEBUG": "true"}},
          "dependsOn": [{"id": "home-schema", "condition": "completed"}]},
      "home-schema": {"build": {"args": {"A": "1"}}, "restart": {"policy": "never"}}}),
    "built here": Example("""
services:
  app:
    build: {context: ./app, dockerfile: Dockerfile}
    image: mine/app
    pull_policy: missing
  tool: {build: ., command: [sh, -c, "echo $$HOME"]}
""", {"home-app": {"source": "./app"}, "home-tool": {"source": ".", "command": ["sh", "-c", "echo $$HOME"]}}),
    "one job": Example("""
services:
  job: {image: example/job, network_mode: none, restart: "no"}
  again: {image: example/job, restart: on-failure}
""", {"home-job": {"network": "none", "restart": {"policy": "never"}},
      "home-again": {"restart": {"policy": "onFailure"}}}),
    "hardened": Example("""
services:
  shut:
    image: example/shut
    read_only: true
    cap_drop: [ALL]
    cap_add: [CAP_CHOWN]
    security_opt: [no-new-privileges:true]
""", {"home-shut": {"capabilities": ["CHOWN"]}}),
    "feeds": Example("""
services:
  reader:
    image: example/reader
    healthcheck: {test: [CMD, /bin/app, -check], interval: 1m, start_period: 20m}
""", {"home-reader": {"update": {"strategy": "recreate", "healthyDeadline": 1440.0}}}),
    "recipes": Example("""
services:
  recipes: {image: example/recipes, healthcheck: {disable: true}, ports: ["9925:9000"]}
""", {"home-recipes": {"probes": {"readiness": "none"}, "port": 9000}}),
    "documents": Example("""
services:
  web: {image: example/docs, depends_on: {broker: {condition: service_started, required: true}}}
  broker: {image: redis:7}
""", {
        "home-web": {"dependsOn": [{"id": "home-broker", "condition": "started"}]},
        "home-broker": {"image": "redis:7"},
    }),
    "bookmarks": Example("""
services:
  Book_Marks: {image: example/bookmarks, scale: 2, runtime: runsc}
""", {"home-book-marks": {"replicas": 2, "isolation": "runsc",
                      "project": {"name": "home", "aliases": ["Book_Marks"]}}}),
    "torrents": Example("""
services:
  seeds:
    image: example/seeds
    env_file: [{path: missing.env, required: false}, {path: ./app.env}]
    environment: {LOG: debug}
""", {"home-seeds": {"env": {"LOG": "debug", "QUOTED": "a b"}}}),
    "search": Example("""
services:
  search:
    image: example/search
    environment: {JAVA_OPTS: "${OPTS-}", HEAP: "${HEAP:-${MORE:-1g}}", NO: "${NOPE:+x}", YES: "${TZ+y}"}
    x-note: not for anybody
""", {"home-search": {"env": {"JAVA_OPTS": "", "HEAP": "1g", "NO": "", "YES": "y"}}}),
    "health of the image": Example("""
services:
  front: {image: example/front, depends_on: {back: {condition: service_healthy}}}
  back: {image: example/back}
""", {"home-front": {"dependsOn": [{"id": "home-back"}]}, "home-back": {"image": "example/back"}}),
}  # fmt: skip
