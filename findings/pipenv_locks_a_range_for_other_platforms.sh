#!/usr/bin/env bash
# Pipenv 2026.10.3 (and 2026.5.0): a requirement for another platform is locked as its range, not as a version.
#
# A Pipfile asks for `colorama = {version = ">=0.4", markers = "sys_platform == 'win32'"}`. On Linux `pipenv lock`
# warns that it finds no matching version, ends with status 0, and writes `"version": "==>=0.4"` without hashes:
# "==" stands before the Pipfile's own range. Nothing locked is there for the platform that the requirement is for,
# and the text is no version specifier (PEP 440): `pipenv sync` of this very lock fails on the machine that wrote it.
# The exact requirement `==0.2.2` with the same marker is locked as a version, with hashes.
#
# Seen:   colorama ==>=0.4 no hashes
#         pywin32-ctypes ==0.2.2 hashes
#         sync: Invalid requirement: 'colorama==>=0.4'
# Who reads Pipfile.lock has to look at the marker first, and must not take such a `version` for a version.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv tool
tool/bin/pip install -q --disable-pip-version-check pipenv==2026.10.3
tool/bin/pipenv --version

mkdir project
cd project
cat >Pipfile <<'PIPFILE'
[packages]
six = "==1.16.0"
pywin32-ctypes = {version = "==0.2.2", markers = "sys_platform == 'win32'"}
colorama = {version = ">=0.4", markers = "sys_platform == 'win32'"}
PIPFILE
export PIPENV_VENV_IN_PROJECT=1 PIPENV_NOSPIN=1
../tool/bin/pipenv lock >../lock.log 2>&1 || { cat ../lock.log; echo "the lock failed: another behaviour"; exit 1; }

../tool/bin/python - >../seen <<'PYTHON'
import json

packages = json.load(open("Pipfile.lock"))["default"]
for name in ("colorama", "pywin32-ctypes"):
    print(name, packages[name]["version"], "hashes" if packages[name].get("hashes") else "no hashes")
PYTHON
if ../tool/bin/pipenv sync >../sync.log 2>&1; then echo "sync: worked" >>../seen; else
  grep -ao "Invalid requirement: 'colorama==>=0.4'" ../sync.log | head -1 | sed 's/^/sync: /' >>../seen
fi
cat ../seen

diff ../seen - <<'EXPECTED' || { echo "this is no longer so"; exit 1; }
colorama ==>=0.4 no hashes
pywin32-ctypes ==0.2.2 hashes
sync: Invalid requirement: 'colorama==>=0.4'
EXPECTED
