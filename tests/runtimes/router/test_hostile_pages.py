"""A hostile page in a real browser that has no check of its own can do nothing to a service or the node.

Each attempt is made twice, and the second time succeeds, because its guard is gone: mostly by what the
service's manifest says of other sites. The page is a stranger's, at a name of its own, and asks a host that
browsers trust by its name (and so tell whose page asks, by Fetch Metadata); or it is another service's of the
same node under a domain, which is the same site to a browser (and only Origin tells it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread
import pytest

from runtimes.router.decide import request as deciding
from runtimes.router.decide.place import USER_SESSIONS_API, names_of
from runtimes.router.decide.table import NODE, Export, Session
from runtimes.router.protocol import answer_head, page_answers, request_head
from tests.browser import Browser, Page
from tests.runtimes.router.harness import API, SOCKET, World, until
from tests.runtimes.router.hostile import ACTS, DOMAIN, FRAMED, FRAMES, READS, SAID, hostile, victim
from tests.runtimes.router.instances import says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.runtimes.router.harness import Service
    from tests.runtimes.router.instances import Instance

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("browser")]


class Scene(NamedTuple):
    """A browser shows the hostile `page`; `target` is the origin that it is after."""

    world: World
    browser: Browser
    page: Page
    service: Service
    target: str

    async def run(self, script: str, page: Page | None = None) -> Any:
        """What the script gives back to the hostile page."""
        text = f"const target = {self.target!r}; {script}"
        return await anyio.to_thread.run_sync((page or self.page).run, text)

    async def go(self, url: str) -> None:
        await anyio.to_thread.run_sync(self.page.go, url)

    def allow(self) -> None:
        self.service.publish(*self.service.instances, cross_site=True)

    @property
    def refused(self) -> int:
        return self.world.plane.metrics.series("host", self.service.id).statuses.get(403, 0)

    def reached(self, method: str) -> bool:
        """Whether something came to the service that may change it."""
        return any(each.method == method or "upgrade" in each.names for each in self.service.requests)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as made:
        yield made


@pytest.fixture(params=["a stranger's page", "another service's page"])
async def scene(request: pytest.FixtureRequest, world: World, browser: Browser) -> AsyncIterator[Scene]:
    world.replace_plane(domain=DOMAIN)
    service = await world.service("notes", serve=victim, exports=())
    if request.param == "a stranger's page":
        site: Instance = await world.instance("site", hostile, tcp=True)
        url, target = f"http://evil.test:{site.backend.port}/", f"http://{service.host}"
    else:
        await world.service("other", serve=hostile, exports=())
        url, target = f"http://other.{DOMAIN}:{world.port}/", f"http://notes.{DOMAIN}:{world.port}"
    page = await anyio.to_thread.run_sync(browser.page, url)
    yield Scene(world, browser, page, service, target)
    await anyio.to_thread.run_sync(page.close)


# -- what it tries


@pytest.mark.parametrize("act", ACTS)
async def test_it_has_a_service_do_nothing(scene: Scene, act: str) -> None:
    method, script = ACTS[act]
    await scene.run(script)
    await until(lambda: scene.refused)
    assert not scene.reached(method)
    scene.allow()
    await scene.run(script)
    await until(lambda: scene.reached(method))


@pytest.mark.parametrize("read", READS)
async def test_it_reads_nothing_that_a_service_says(scene: Scene, read: str) -> None:
    assert await scene.run(READS[read]) == "refused"
    scene.allow()
    assert await scene.run(READS[read]) == "secret"


@pytest.mark.parametrize("frame", FRAMES)
async def test_it_shows_no_page_of_a_service_as_its_own(scene: Scene, frame: str) -> None:
    await scene.run(SAID + FRAMES[frame])
    await anyio.to_thread.run_sync(scene.page.logged, "frame-ancestors")
    assert await scene.run("return Promise.race([said, 'refused'])") == "refused"
    scene.allow()
    await scene.run(FRAMES[frame])
    assert await scene.run("return said") == "secret"


async def test_a_service_that_says_who_frames_it_is_framed(scene: Scene) -> None:
    """And pages of its own are its own affair."""
    own = await scene.world.service(
        "own", serve=says(200, FRAMED, "Content-Type: text/html", "X-Frame-Options: ALLOWALL")
    )
    host = own.host if "localhost" in scene.target else f"own.{DOMAIN}:{scene.world.port}"
    scene_of_it = scene._replace(target=f"http://{host}")
    await scene_of_it.run(SAID + FRAMES["a frame"])
    assert await scene.run("return said") == "secret"


# -- cookies, and who somebody is


async def test_no_service_sets_cookies_for_another(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another service's cookie could be taken for this one's, and say who somebody is."""
    other = await scene.world.service("other", serve=hostile, exports=())
    toss = f"http://other.{DOMAIN}:{scene.world.port}/toss?"
    here = f"http://notes.{DOMAIN}:{scene.world.port}/"
    await scene.go(toss + "first")
    assert await scene.run("return document.cookie") == "tossed=first"
    await scene.go(here)
    assert scene.service.requests[-1]["cookie"] == ""
    monkeypatch.setattr(page_answers, "for_one_host", lambda cookie: cookie)
    await scene.go(toss + "second")
    await scene.go(here)
    assert scene.service.requests[-1]["cookie"] == "tossed=second"
    assert len(other.requests) >= 2


async def test_in_no_spelling_that_a_browser_reads(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.world.service("other", serve=hostile, exports=())
    url = f"http://other.{DOMAIN}:{scene.world.port}/spellings?"
    await scene.go(url + "1")
    kept = await anyio.to_thread.run_sync(scene.page.cookies)
    assert len(kept) > 50 and {domain for _, domain in kept} == {f"other.{DOMAIN}"}
    monkeypatch.setattr(page_answers, "for_one_host", lambda cookie: cookie)
    await scene.go(url + "2")
    kept = await anyio.to_thread.run_sync(scene.page.cookies)
    assert sum(domain == f".{DOMAIN}" for _, domain in kept) > 10


async def test_what_a_pages_own_script_sets_only_a_browser_can_refuse(scene: Scene) -> None:
    """It never comes by here: under `localhost` it is refused, under a domain it is not."""
    await scene.world.service("other", serve=hostile, exports=())
    for domain, expected in (("localhost", ""), (DOMAIN, "tossed=1")):
        await scene.go(f"http://other.{domain}:{scene.world.port}/")
        await scene.run(f"document.cookie = 'tossed=1; domain={domain}; path=/'")
        await scene.go(f"http://notes.{domain}:{scene.world.port}/")
        assert scene.service.requests[-1]["cookie"] == expected


async def test_a_websocket_at_the_gateway_sets_none_at_the_nodes_host(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the node's own page, which may open one: what answers is a service."""
    await scene.world.service("chat", serve=victim, exports=SOCKET)
    await scene.world.service(NODE, serve=hostile, exports=())
    scene.world.sign_in({"of-ann": Session("ann")}, private=False)
    await scene.go(f"http://localhost:{scene.world.port}/")
    await scene.run("document.cookie = 'session=of-ann'")
    script = (
        f"return new Promise(done => {{ const s = new WebSocket('/_atek/gateway?api={API}');"
        "s.onmessage = m => { s.close(); done(m.data) }; s.onerror = () => done('refused') })"
    )
    assert await scene.run(script) == "secret"
    monkeypatch.setattr(answer_head, "for_reader", lambda reader, status, fields: fields)
    assert await scene.run(script) == "secret"
    # A browser keeps it a moment after the socket is open.
    while "tossed" not in (cookies := await scene.run("return document.cookie")):
        pass
    assert cookies == "session=of-ann; tossed-by-socket-2=x"


async def test_it_asks_as_nobody_although_the_browser_sends_the_cookie(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a browser all services under a domain are one site, whose cookies go along."""
    here = f"http://notes.{DOMAIN}:{scene.world.port}/"
    await scene.world.service("other", serve=hostile, exports=())
    scene.world.sign_in({"of-ann": Session("ann")}, private=False)
    await scene.go(here)
    cookie = scene.service.cookie("of-ann").removeprefix("Cookie: ")
    await scene.run(f"document.cookie = {cookie!r}")
    await scene.go(f"http://other.{DOMAIN}:{scene.world.port}/")
    ask = f"await fetch({here!r}, {{credentials: 'include'}}).catch(() => 0)"
    await scene.run(ask)
    assert "atek-auth-user" not in scene.service.requests[-1].names
    monkeypatch.setattr(request_head, "_is_elsewhere", lambda values, authority: False)
    request_head._requests.clear()
    scene.world.plane.decisions.clear()
    await scene.run(ask)
    assert scene.service.requests[-1]["atek-auth-user"] == "ann"


# -- the node


async def test_it_does_not_log_its_reader_in_as_somebody_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = await scene.world.service("sessions", exports=(Export(USER_SESSIONS_API, "/sessions"),))
    gateway = f"http://localhost:{scene.world.port}/_atek/gateway?api={USER_SESSIONS_API}"
    login = '{"jsonrpc": "2.0", "id": 1, "method": "login", "params": ["eve", "her password"]}'
    script = f"await fetch({gateway!r}, {{method: 'POST', mode: 'no-cors', body: {login!r}}})"
    await scene.run(script)
    assert sessions.requests == []
    take_guard_out(monkeypatch, scene.world)
    await scene.run(script)
    assert "login" in sessions.request.body.decode()


@pytest.mark.parametrize("path", ["/", "/_atek/hooks/git/home"])
async def test_it_sends_the_node_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    node = await scene.world.service(NODE, serve=victim, exports=())
    url = f"http://localhost:{scene.world.port}{path}"
    script = f"await fetch({url!r}, {{method: 'POST', mode: 'no-cors'}})"
    await scene.run(script)
    assert node.requests == []
    take_guard_out(monkeypatch, scene.world)
    await scene.run(script)
    assert node.request.method == "POST"


async def test_a_name_that_was_made_to_lead_here_leads_nowhere(scene: Scene) -> None:
    """DNS rebinding: to the browser the page and the node are one origin."""
    node = await scene.world.service(NODE, serve=victim, exports=())
    await scene.go(f"http://rebound.test:{scene.world.port}/")
    ask = "return fetch('/livez', {method: 'POST'}).then(a => a.status)"
    assert await scene.run(ask) == 421
    assert node.requests == []
    plane = scene.world.plane
    plane._names = names_of("rebound.test")
    plane.decisions.clear()
    assert await scene.run(ask) == 200
    assert node.request.method == "POST"


async def test_a_worker_that_stays_has_a_service_do_nothing(world: World, browser: Browser) -> None:
    """Only pages that the browser trusts by their name install one: another service's."""
    service = await world.service("notes", serve=victim, exports=())
    other = await world.service("other", serve=hostile, exports=())
    target = f"http://{service.host}"
    page = await anyio.to_thread.run_sync(browser.page, f"http://{other.host}/")
    scene = Scene(world, browser, page, service, target)
    script = "(await navigator.serviceWorker.ready).active.postMessage(target)"
    await scene.run(f"await navigator.serviceWorker.register('/worker.js'); {script}")
    await until(lambda: scene.refused)
    assert not scene.reached("POST")
    scene.allow()
    await scene.run(script)
    await until(lambda: scene.reached("POST"))
    await anyio.to_thread.run_sync(page.close)


async def test_a_services_own_page_does_all_of_it(world: World, browser: Browser) -> None:
    """What is refused to others is no loss to itself, by the node's name or by a domain's."""
    world.replace_plane(domain=DOMAIN)
    service = await world.service("notes", serve=victim, exports=())
    for host in (service.host, f"notes.{DOMAIN}:{world.port}"):
        page = await anyio.to_thread.run_sync(browser.page, f"http://{host}/")
        scene = Scene(world, browser, page, service, f"http://{host}")
        for method in ("POST", "PUT", "DELETE"):
            assert await scene.run(f"return fetch('/', {{method: '{method}'}}).then(a => a.status)") == 200
        for read in READS.values():
            assert await scene.run(read) == "secret"
        await scene.run(SAID + FRAMES["a frame"])
        assert await scene.run("return said") == "secret"
        await anyio.to_thread.run_sync(page.close)
    assert scene.refused == 0


def take_guard_out(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(deciding, "cross_site", lambda head, place: None)
    world.plane.decisions.clear()
