"""SOPS files and other implementations: npm's sops-age reads ours, and a program on Node's own AES and npm's
age-encryption, written after the format's description, writes some for us. SOPS itself is in no registry.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from manifests.sops.document import STORES
from manifests.sops.rules import Rule
from manifests.sops.yaml_store import plain
from runtimes.packages.node_versions import find_node
from tests.manifests.sops.sealed import identity, opened, recipient, sealed

if TYPE_CHECKING:
    from pathlib import Path

    from manifests.sops.document import Store

_READ = """
import { decryptSops } from "sops-age";
import { readFileSync } from "node:fs";
const [path, fileType, secretKey] = process.argv.slice(2);
console.log(JSON.stringify(await decryptSops(readFileSync(path, "utf8"), { fileType, secretKey })));
"""
_WRITE = """
import * as age from "age-encryption";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
const [kind, recipient] = process.argv.slice(2);
const key = randomBytes(32), modified = "2026-11-30T12:00:00Z", values = [];
const seal = (text, place, type) => {
  const iv = randomBytes(32), cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(place));
  const data = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]).toString("base64");
  const [i, t] = [iv, cipher.getAuthTag()].map(each => each.toString("base64"));
  return `ENC[AES256_GCM,data:${data},iv:${i},tag:${t},type:${type}]`;
};
const value = (text, place, type = "str") => { values.push(text); return seal(text, place, type); };
const encrypter = new age.Encrypter(); encrypter.addRecipient(recipient);
const enc = age.armor.encode(await encrypter.encrypt(key));
const digest = () => createHash("sha512").update(values.join("")).digest("hex").toUpperCase();
const mac = () => seal(digest(), modified, "str");
const lines = {
  yaml: () => `#${seal(" why", ":", "comment")}
a: ${value("text: ä", "a:")}
n: ${value("-7", "n:", "int")}
f: ${value("1.25", "f:", "float")}
b: ${value("True", "b:", "bool")}
raw: ${value("bytes", "raw:", "bytes")}
when: ${value("2026-01-01T00:00:00Z", "when:", "time")}
nothing: null
empty: ""
list:
    - ${value("x", "list:")}
    - y: ${value("z", "list:y:")}
shown_unencrypted: ${(values.push("1000000"), "1e+06")}
`,
  json: () => `{"a": "${value("text", "a:")}", "n": "${value("3", "n:", "float")}",
"o_unencrypted": ${(values.push("2"), "2.0")}, `,
  dotenv: () => `#${seal(" why", ":", "comment")}\\nA=${value("one\\ntwo", "A:")}\\nB=\\n`,
  ini: () => `[DEFAULT]\\ntop = ${value("1", "DEFAULT:top:")}\\n\\n`
    + `[db]\\npassword = ${value("x", "db:password:")}\\n\\n`,
  binary: () => `{"data": "${value("any\\u0000thing", "data:")}", `,
};
const body = lines[kind](), sops = { age: [{ recipient, enc }], lastmodified: modified, mac: mac(),
  pgp: null, unencrypted_suffix: "_unencrypted", version: "3.9.0" };
const flat = { age__list_0__map_enc: enc.replaceAll("\\n", "\\\\n"), age__list_0__map_recipient: recipient,
  lastmodified: modified, mac: sops.mac, unencrypted_suffix: "_unencrypted", version: "3.9.0" };
const flatly = (prefix, middle) =>
  Object.entries(flat).map(([name, text]) => `${prefix}${name}${middle}${text}\\n`).join("");
process.stdout.write(body + ({
  yaml: () => `sops: ${JSON.stringify(sops)}\\n`,
  json: () => `"sops": ${JSON.stringify(sops)}}`, binary: () => `"sops": ${JSON.stringify(sops)}}`,
  dotenv: () => flatly("sops_", "="), ini: () => "[sops]\\n" + flatly("", " = "),
})[kind]());
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("sops")
    dependencies = {"sops-age": "4.0.2", "age-encryption": "0.2.3"}
    (folder / "package.json").write_text(json.dumps({"type": "module", "dependencies": dependencies}))
    (folder / "read.js").write_text(_READ)
    (folder / "write.js").write_text(_WRITE)
    node = find_node()
    subprocess.run(
        [str(node.node), str(node.npm), "install", "--no-audit", "--no-fund"],
        cwd=folder,
        check=True,
        capture_output=True,
    )

    def run(*arguments: str | Path) -> str:
        line = [str(node.node), *map(str, arguments)]
        return subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout

    return run


@pytest.mark.parametrize(
    ("store", "kind", "plain_text", "wanted"),
    [
        (
            "yaml",
            "yaml",
            "# x\na: 'ä: b'\nb: [1, {c: x}]\nd: true\ne: 1.5\nf: ''\ng_unencrypted: 5\nh: |\n two\n li\n",
            {
                "a": "ä: b",
                "b": [1, {"c": "x"}],
                "d": True,
                "e": 1.5,
                "f": "",
                "g_unencrypted": 5,
                "h": "two\nli\n",
            },
        ),
        ("json", "json", '{"a": 1, "b": ["x", false]}', {"a": 1, "b": ["x", False]}),
        ("dotenv", "env", "A=one\nB=\n", {"A": "one", "B": ""}),
        ("binary", "json", "any bytes", {"data": "any bytes"}),
    ],
)
def test_another_program_reads_our_files(
    run: Any, tmp_path: Path, store: Store, kind: str, plain_text: str, wanted: dict[str, Any]
) -> None:
    for rule in (Rule(), Rule("encrypted_regex", "^[ab]")):
        (tmp_path / "file").write_bytes(sealed(store, plain_text, recipient("else"), recipient(), rule=rule))
        assert json.loads(run("read.js", tmp_path / "file", kind, identity())) == wanted
        if store == "dotenv":
            break  # it knows no other rule there


@pytest.mark.parametrize("store", STORES)
def test_we_read_the_files_of_another_program(run: Any, store: Store) -> None:
    found = opened(store, run("write.js", store, recipient()).encode())

    values = plain(found.branches[0])
    assert values == {
        "yaml": {
            "a": "text: ä", "n": -7, "f": 1.25, "b": True, "raw": b"bytes", "when": "2026-01-01T00:00:00Z",
            "nothing": None, "empty": "", "list": ["x", {"y": "z"}], "shown_unencrypted": 1e6,
        },
        "json": {"a": "text", "n": 3.0, "o_unencrypted": 2.0},
        "dotenv": {"A": "one\ntwo", "B": ""},
        "ini": {"DEFAULT": {"top": "1"}, "db": {"password": "x"}},
        "binary": {"data": "any\0thing"},
    }[store]  # fmt: skip
    if store in ("yaml", "dotenv"):
        assert found.plain().startswith(b"# why\n")
