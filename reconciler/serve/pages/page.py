"""A page of the node: plain HTML, escaped, under a policy that lets it load nothing but its style."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from reconciler.errors import UserError
from reconciler.http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.http.messages import Request

STYLE_PATH = "/_atek/style.css"
#: No `form-action`: browsers would hold it against where a form's answer leads, a service's own host.
_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-frame-options": "DENY",
    # Not `no-referrer`: with that browsers send forms without saying from which page.
    "referrer-policy": "same-origin",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_STYLE = """:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { margin: 0; display: grid; min-height: 100vh; place-items: center }
main { width: min(22rem, 100vw - 3rem); padding: 1.5rem 0 }
h1 { font-size: 1.4rem; font-weight: 600 }
label { display: block; margin: 1rem 0 }
input { display: block; box-sizing: border-box; width: 100%; margin-top: .25rem; padding: .6rem;
  font: inherit; border: 1px solid GrayText; border-radius: .4rem; background: Field; color: FieldText }
ul { padding: 0; list-style: none }
li { border-bottom: 1px solid color-mix(in srgb, CanvasText 15%, Canvas) }
li a { display: inline-block; padding: .7rem 0; min-width: 60% }
button { width: 100%; margin-top: .5rem; padding: .7rem; font: inherit; font-weight: 600; border: 0;
  border-radius: .4rem; background: #2457c5; color: #fff; cursor: pointer }
.problem { padding: .6rem .8rem; border-left: .25rem solid #c5242f;
  background: color-mix(in srgb, #c5242f 12%, Canvas) }
"""


@dataclass(frozen=True, slots=True)
class Field:
    """A line of a form. `kind` is HTML's; `fill` tells a browser's password manager what belongs there."""

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    fill: str = "off"


def page(
    title: str, paragraphs: Sequence[str], form: str = "", *, status: int = 200, problem: str = ""
) -> Response:
    """A page with these paragraphs of plain text, and a form that `form` made."""
    told = [f'<p class="problem" role="alert">{escape(problem)}</p>'] if problem else []
    body = "\n".join([*told, *(f"<p>{escape(each)}</p>" for each in paragraphs), form])
    text = _PAGE.format(title=escape(title), style=STYLE_PATH, body=body)
    return Response(status, text.encode(errors="replace"), "text/html; charset=utf-8", _HEADERS)


def form(action: str, fields: Sequence[Field], button: str, hidden: Mapping[str, str]) -> str:
    """A form that is sent by POST to a path of the node."""
    lines = [f'<form method="post" action="{escape(action)}">']
    lines += [
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in hidden.items()
    ]
    for number, each in enumerate(fields):
        focus = " autofocus" if number == 0 else ""
        lines.append(
            f"<label>{escape(each.label)}"
            f'<input name="{escape(each.name)}" type="{each.kind}" value="{escape(each.value)}" '
            f'autocomplete="{each.fill}" autocapitalize="none" spellcheck="false" required{focus}></label>'
        )
    lines.append(f'<button type="submit">{escape(button)}</button></form>')
    return "\n".join(lines)


def style() -> Response:
    """The style of all pages."""
    return Response(200, _STYLE.encode(), "text/css; charset=utf-8")


def leads_to(location: str, cookie: str = "") -> Response:
    """After a form was sent: go there (303), signed in by a cookie if there is one."""
    cookies = {"set-cookie": cookie} if cookie else {}
    return Response(303, headers={**_HEADERS, "location": location, **cookies})


def told(error: UserError | OSError) -> str:
    """What a person reads of what could not be done."""
    if isinstance(error, UserError):
        return f"{error.message}: {error.hint}" if error.hint else error.message
    return f"The node could not save it: {error.strerror or error}"


def sent(request: Request) -> dict[str, str]:
    """What was filled in; of what comes twice the first. Whatever is no form is an empty one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return {}
    return _first(request.body.decode("utf-8", "replace"))


def asked(request: Request) -> dict[str, str]:
    """What the address says."""
    return _first(request.query)


def _first(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return dict(reversed(pairs))
