"""Access control: hosts, origins, tokens, security headers."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from adapters.web.connection.security import COOKIE, SESSION_S
from core.net.client_address import TrustedProxies
from core.net.token_gate import ATTEMPT_WINDOW_S, ATTEMPTS_PER_WINDOW, TokenGate, TooManyAttempts
from tests.adapters.web.conftest import form
from tests.adapters.web.site import Site, site
from tests.fakes.clock import ShiftedClock

pytestmark = pytest.mark.asyncio(loop_scope="session")
Http = aiohttp.ClientSession
TOKEN = "correct horse battery staple"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example"]
)
async def test_a_changing_request_with_a_foreign_origin_is_refused(page_site: Site, http: Http, origin: str) -> None:
    for method, path in (("POST", "/api/jobs"), ("POST", "/api/jobs/x/cancel"), ("DELETE", "/api/jobs/x")):
        async with http.request(method, page_site.url + path, data=form(), headers={"Origin": origin}) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"]["code"] == "foreign_origin"
    assert page_site.service.requests == []


async def test_a_changing_request_without_an_origin_or_with_our_own_is_accepted(page_site: Site, http: Http) -> None:
    for headers in ({}, {"Origin": page_site.url}, {"Origin": page_site.url, "Sec-Fetch-Site": "same-origin"}):
        async with http.post(f"{page_site.url}/api/jobs", data=form(), headers=headers) as answer:
            assert answer.status == 202


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
async def test_what_the_browser_calls_cross_site_is_refused(page_site: Site, http: Http, where: str) -> None:
    async with http.post(f"{page_site.url}/api/jobs", data=form(), headers={"Sec-Fetch-Site": where}) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"]
)
async def test_a_rebound_host_name_is_refused_for_every_method(page_site: Site, http: Http, host: str) -> None:
    for path in ("/", "/api/history", "/static/main.js"):
        async with http.get(page_site.url + path, headers={"Host": host}) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"]["code"] == "foreign_host"


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST"])
async def test_every_name_of_this_machine_is_served(page_site: Site, http: Http, host: str) -> None:
    async with http.get(page_site.url, headers={"Host": host.format(port=URL(page_site.url).port)}) as answer:
        assert answer.status == 200


async def test_the_public_host_is_served_with_a_token_and_a_proxy_never_without(tmp_path: Path, http: Http) -> None:
    async with (
        site(tmp_path) as open_site,
        http.get(f"{open_site.url}/api/history", headers={"X-Forwarded-For": "203.0.113.9"}) as answer,
    ):
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "token_needed"
    async with site(tmp_path, public_url="https://bot.example", web_token=TOKEN) as closed:
        headers = {"Host": "bot.example", "X-Forwarded-For": "203.0.113.9", "Authorization": f"Bearer {TOKEN}"}
        async with http.get(f"{closed.url}/api/history", headers=headers) as answer:
            assert answer.status == 200
        headers["Origin"] = "https://bot.example"
        async with http.post(f"{closed.url}/api/jobs", data=form(), headers=headers) as answer:
            assert answer.status == 202


async def test_with_a_token_nothing_is_told_to_strangers(tmp_path: Path, http: Http) -> None:
    async with site(tmp_path, web_token=TOKEN) as closed:
        async with http.get(f"{closed.url}/api/history") as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        async with http.post(f"{closed.url}/api/jobs", data=form()) as answer:
            assert answer.status == 401
        async with http.get(closed.url, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        async with http.get(f"{closed.url}/api/history", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
        async with http.get(f"{closed.url}/api/history", headers={"Authorization": f"bearer {TOKEN}"}) as answer:
            assert answer.status == 200


async def sign_in(http: Http, url: str, token: str) -> tuple[int, str]:
    async with http.post(f"{url}/login", data={"token": token}, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Set-Cookie", "")


async def test_signing_in_sets_a_strict_cookie_that_is_not_the_token(tmp_path: Path, http: Http) -> None:
    async with site(tmp_path, web_token=TOKEN) as closed:
        status, cookie = await sign_in(http, closed.url, TOKEN)
        assert status == 303
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        value = cookie.split(";")[0].partition("=")[2]
        async with http.get(f"{closed.url}/api/history", cookies={COOKIE: value}) as answer:
            assert answer.status == 200
        http.cookie_jar.clear()
        for forged in (value[:-1] + ("0" if value[-1] != "0" else "1"), "9999999999.x." + value.rpartition(".")[2], ""):
            async with http.get(f"{closed.url}/api/history", headers={"Cookie": f"{COOKIE}={forged}"}) as answer:
                assert answer.status == 401
        closed.clock.offset_s = SESSION_S + 10.0
        async with http.get(f"{closed.url}/api/history", headers={"Cookie": f"{COOKIE}={value}"}) as answer:
            assert answer.status == 401


async def test_guessing_the_token_is_slowed_down_but_never_locks_its_owner_out(tmp_path: Path, http: Http) -> None:
    async with site(tmp_path, web_token=TOKEN) as closed:
        for _ in range(ATTEMPTS_PER_WINDOW):
            assert (await sign_in(http, closed.url, "wrong"))[0] == 401
        assert (await sign_in(http, closed.url, "wrong"))[0] == 429
        async with http.get(f"{closed.url}/api/history", headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
        assert (await sign_in(http, closed.url, TOKEN))[0] == 303
        http.cookie_jar.clear()
        async with http.get(f"{closed.url}/api/history", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200
        closed.clock.offset_s = ATTEMPT_WINDOW_S + 1
        assert (await sign_in(http, closed.url, "wrong"))[0] == 401


async def test_guesses_are_counted_by_the_client_that_a_declared_proxy_names() -> None:
    gate = TokenGate(TOKEN, ShiftedClock(), TrustedProxies.of(["127.0.0.1"]))
    for number in range(ATTEMPTS_PER_WINDOW):
        assert not gate.is_right("wrong", "127.0.0.1", [f"{number}.2.3.4, 203.0.113.9"])
    with pytest.raises(TooManyAttempts):
        gate.is_right("wrong", "127.0.0.1", ["198.51.100.1, 203.0.113.9"])
    assert not gate.is_right("wrong", "127.0.0.1", ["203.0.113.10"])
    assert gate.is_right(TOKEN, "127.0.0.1", ["203.0.113.9"])


@pytest.mark.parametrize("given", ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "x" * 100_000, "\udcff\udcfe"])
async def test_nothing_but_the_token_is_right(given: str) -> None:
    assert not TokenGate(TOKEN, ShiftedClock()).is_right(given, "127.0.0.1")
    assert not TokenGate(None, ShiftedClock()).is_right(given, "127.0.0.1")


async def test_a_session_is_over_after_log_out_also_for_who_kept_its_cookie(tmp_path: Path, http: Http) -> None:
    async with site(tmp_path, web_token=TOKEN) as closed:
        cookies = [(await sign_in(http, closed.url, TOKEN))[1].split(";")[0] for _ in range(2)]
        http.cookie_jar.clear()

        async def status(cookie: str) -> int:
            async with http.get(f"{closed.url}/api/history", headers={"Cookie": cookie}) as answer:
                return answer.status

        assert [await status(cookie) for cookie in cookies] == [200, 200]
        for cookie in (cookies[0], cookies[0][:-1], "upscale_session=9.x.y"):
            async with http.post(f"{closed.url}/logout", headers={"Cookie": cookie}, allow_redirects=False) as answer:
                assert answer.status == 303
        assert [await status(cookie) for cookie in cookies] == [401, 200]
        await closed.adapter._guard.load_ended()
        assert [await status(cookie) for cookie in cookies] == [401, 200]


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
async def test_a_read_from_another_site_that_would_start_work_is_refused(
    page_site: Site, http: Http, headers: dict[str, str]
) -> None:
    for path in ("/api/usage", "/api/jobs/x/compare", "/api/privacy/export", "/api/estimate?text=3x"):
        async with http.get(page_site.url + path, headers=headers) as answer:
            assert answer.status == 403
    async with http.get(page_site.url, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
        assert answer.status == 200


async def test_signing_in_from_another_site_is_refused(tmp_path: Path, http: Http) -> None:
    async with (
        site(tmp_path, web_token=TOKEN) as closed,
        http.post(f"{closed.url}/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"}) as answer,
    ):
        assert answer.status == 403


async def test_every_answer_carries_the_protecting_headers(page_site: Site, http: Http) -> None:
    for path in (
        "/",
        "/login",
        "/static/main.js",
        "/static/nothing.js",
        "/api/history",
        "/api/jobs/none",
        "/static/..",
    ):
        async with http.get(page_site.url + path, allow_redirects=False) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "name", ["../adapter.py", "..%2fadapter.py", "%2e%2e%2fadapter.py", "index.html", "/etc/passwd"]
)
async def test_static_serves_only_its_own_files(page_site: Site, http: Http, name: str) -> None:
    async with http.get(f"{page_site.url}/static/{name}") as answer:
        assert answer.status in {403, 404}


async def test_the_page_has_no_inline_script_or_style(page_site: Site, http: Http) -> None:
    async with http.get(page_site.url) as answer:
        text = await answer.text()
    assert "style=" not in text
    assert "<style" not in text
    assert "onclick" not in text
    assert "://" not in text.replace("http://www.w3.org", "").partition('id="boot"')[0]


async def test_a_hostile_file_name_stays_text(page_site: Site, http: Http) -> None:
    name = "../../etc/<script>alert(1);filename=evil.html\u202egnp.png"
    async with http.post(f"{page_site.url}/api/jobs", data=form(name=name)) as answer:
        job = await answer.json()
        assert answer.status == 202
    assert "/" not in page_site.service.requests[0].source.name
    assert (page_site.data_dir / page_site.service.requests[0].source.path).parent == page_site.data_dir / "uploads"
    for _ in range(200):
        async with http.get(f"{page_site.url}/api/jobs/{job['job_id']}/image?download=1") as answer:
            if answer.status == 200:
                break
        await asyncio.sleep(0.01)
    disposition = answer.headers["Content-Disposition"]
    assert disposition.count(";") == 2
    assert not set(disposition) & set("<>\u202e/\\")
