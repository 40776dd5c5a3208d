"""A service that lets everybody do everything, a site of somebody who means no good, and what its page tries.

Scripts are bodies of async functions in which `target` is the service's origin.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from tests.runtimes.router.instances import Asked

DOMAIN = "home.test"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FRAMED = "<script>parent.postMessage('secret', '*')</script>"


def spellings(seed: str) -> list[str]:
    """Cookies for all of a domain, as nobody would write that; each with a name of its own."""
    random = Random(seed)

    def white() -> str:
        return "".join(random.choices((" ", "\t"), k=random.randrange(3)))

    def attribute() -> str:
        name = "".join(random.choice((each.lower(), each.upper())) for each in "domain")
        value = random.choice((DOMAIN, f".{DOMAIN}", f"other.{DOMAIN}", f'"{DOMAIN}"', f"{DOMAIN},x=y", ""))
        domain = f"{white()}{name}{white()}={white()}{value}{white()}"
        return random.choice((domain, domain, " Path=/", "=", "", name, "x=domain", 'x="', " HttpOnly"))

    tails = (";".join(attribute() for _ in range(random.randrange(1, 5))) for _ in range(100))
    return [f"c{number}=1;{tail}" for number, tail in enumerate(tails)]


async def victim(asked: Asked) -> None:
    """Lets everybody do and read everything, as many programs do that think they are alone."""
    request = asked.request
    origin = request["origin"] or "*"
    cors = (f"Access-Control-Allow-Origin: {origin}", "Access-Control-Allow-Credentials: true")
    await asked.body()
    if request["upgrade"]:
        cookie = f"Set-Cookie: tossed-by-socket-{asked.number}=x; Path=/"
        accept = b64encode(sha1(request["sec-websocket-key"].encode() + _GUID).digest()).decode()
        head = "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket"
        await asked.send(
            f"{head}\r\nSec-WebSocket-Accept: {accept}\r\n{cookie}\r\n\r\n".encode() + b"\x81\x06secret"
        )
    elif request.method == "OPTIONS":
        methods = (
            "Access-Control-Allow-Methods: PUT, DELETE, POST",
            "Access-Control-Allow-Headers: *, content-type",
        )
        await asked.respond(204, "", *cors, *methods)
    elif request.target == "/events":
        await asked.respond(200, "data: secret\n\n", "Content-Type: text/event-stream", *cors)
    elif request.target == "/framed":
        await asked.respond(200, FRAMED, "Content-Type: text/html")
    else:
        await asked.respond(200, "secret", "Content-Type: text/plain", *cors)


async def hostile(asked: Asked) -> None:
    """A site of somebody who means no good."""
    path, _, query = asked.request.target.partition("?")
    await asked.body()
    html = "Content-Type: text/html"
    if path == "/redirect":
        await asked.respond(307, "", f"Location: {unquote(query)}")
    elif path == "/report":
        policy = f"Content-Security-Policy: img-src 'none'; report-uri {unquote(query)}"
        await asked.respond(200, "<img src=/a.png>", html, policy)
    elif path == "/worker.js":
        script = "onmessage = e => fetch(e.data, {method: 'POST', mode: 'no-cors', body: 'x'})"
        await asked.respond(200, script, "Content-Type: text/javascript")
    elif path == "/spellings":
        await asked.respond(200, "", html, *(f"Set-Cookie: {each}" for each in spellings(query)))
    elif path == "/toss":
        await asked.respond(200, "", html, f"Set-Cookie: tossed={query}; Domain={DOMAIN}; Path=/")
    else:
        await asked.respond(200, "<!doctype html><body>", html)


# -- having something done

_FRAME = (
    "const frame = document.createElement('iframe'); frame.name = 'f' + Math.random();"
    "document.body.append(frame);"
)
_FORM = (
    _FRAME + "const form = document.createElement('form'); form.method = 'post'; form.target = frame.name;"
    "form.innerHTML = '<input name=a value=b>'; document.body.append(form); form.action = target;"
)
_NO_REFERRER = "document.head.innerHTML = '<meta name=referrer content=no-referrer>';"
ACTS = {
    "a form": ("POST", f"{_FORM} form.submit()"),
    "an upload": ("POST", f"{_FORM} form.enctype = 'multipart/form-data'; form.submit()"),
    "a form that is JSON": (
        "POST",
        f"""{_FORM} form.enctype = 'text/plain'; form.innerHTML = '<input name="{{" value="}}">';"""
        "form.submit()",
    ),
    "a form that hides whose it is": ("POST", f"{_NO_REFERRER} {_FORM} form.submit()"),
    "a form in a sandbox": (
        "POST",
        f"{_FRAME} frame.sandbox = 'allow-forms allow-scripts'; frame.srcdoc = "
        "`<form method=post action=${target}></form><script>document.forms[0].submit()</script>`",
    ),
    "a form by way of its own site": (
        "POST",
        f"{_FORM} form.action = '/redirect?' + encodeURIComponent(target + '/'); form.submit()",
    ),
    "fetch": ("POST", "await fetch(target, {method: 'POST', mode: 'no-cors', body: 'x'}).catch(() => 0)"),
    "fetch with cookies": (
        "POST",
        "await fetch(target, {method: 'POST', mode: 'no-cors', body: 'x', credentials: 'include'})"
        ".catch(() => 0)",
    ),
    "fetch that outlives its page": (
        "POST",
        f"{_FRAME} frame.contentWindow.fetch(target,"
        "{method: 'POST', mode: 'no-cors', body: 'x', keepalive: true});"
        "frame.remove()",
    ),
    "fetch in a worker": (
        "POST",
        "const code = `fetch('${target}', {method: 'POST', mode: 'no-cors', body: 'x'})`;"
        "new Worker(URL.createObjectURL(new Blob([code])))",
    ),
    "XMLHttpRequest": ("POST", "const x = new XMLHttpRequest(); x.open('POST', target); x.send('x')"),
    "a beacon": ("POST", "navigator.sendBeacon(target, 'x')"),
    "a link's ping": (
        "POST",
        "const a = document.createElement('a'); a.href = '#'; a.ping = target;"
        "document.body.append(a); a.click()",
    ),
    "the report of a policy": ("POST", f"{_FRAME} frame.src = '/report?' + encodeURIComponent(target + '/')"),
    "a call in JSON": (
        "POST",
        "await fetch(target, {method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'})"
        ".catch(() => 0)",
    ),
    "PUT": ("PUT", "await fetch(target, {method: 'PUT', body: 'x'}).catch(() => 0)"),
    "DELETE": ("DELETE", "await fetch(target, {method: 'DELETE', credentials: 'include'}).catch(() => 0)"),
    "a WebSocket": ("a socket", "new WebSocket(target.replace('http', 'ws'))"),
}


# -- reading

READS = {
    "fetch": "return fetch(target).then(a => a.text(), () => 'refused')",
    "fetch with cookies": "return fetch(target, {credentials: 'include'})"
    ".then(a => a.text(), () => 'refused')",
    "XMLHttpRequest": "return new Promise(done => { const x = new XMLHttpRequest(); x.open('GET', target);"
    "x.onload = () => done(x.responseText); x.onerror = () => done('refused'); x.send() })",
    "an event stream": "return new Promise(done => { const e = new EventSource(target + '/events');"
    "e.onmessage = m => { e.close(); done(m.data) }; e.onerror = () => { e.close(); done('refused') } })",
    "a WebSocket": "return new Promise(done => { const s = new WebSocket(target.replace('http', 'ws'));"
    "s.onmessage = m => { s.close(); done(m.data) }; s.onerror = () => done('refused') })",
    "a picture's bytes": "return fetch(target, {mode: 'cors', headers: {accept: 'image/*'}})"
    ".then(a => a.blob()).then(b => b.text()).catch(() => 'refused')",
    "a preflighted read": "return fetch(target, {headers: {'content-type': 'application/json'}})"
    ".then(a => a.text(), () => 'refused')",
}


# -- framing

SAID = "window.said = new Promise(done => {addEventListener('message', m => done(m.data)) });"
FRAMES = {
    "a frame": "const f = document.createElement('iframe'); f.src = target + '/framed';"
    "document.body.append(f)",
    "a frame in a sandbox": "const f = document.createElement('iframe'); f.sandbox = 'allow-scripts';"
    "f.src = target + '/framed'; document.body.append(f)",
    "an object": "const o = document.createElement('object'); o.type = 'text/html';"
    "o.data = target + '/framed'; document.body.append(o)",
    "an embed": "const e = document.createElement('embed'); e.type = 'text/html';"
    "e.src = target + '/framed'; document.body.append(e)",
}
