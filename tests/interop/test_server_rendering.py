"""A page that is made on a server: cookies are handed on to `/get-session`, and what that sets comes back."""

import sys

import httpx
import pytest
from place import NODE, PASSWORD, ROOT, Place, free_port


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("rendering"))
    place.serve()
    yield place
    place.stop()


@pytest.fixture(scope="module")
def page(place):
    port = free_port()
    return place.start([NODE, str(ROOT / "examples/server-rendering/server.mjs")], port, ready=302, COUNTERSIGN=place.base, PORT=str(port), HERE=f"http://localhost:{port}")


def browser(place) -> dict:
    signed = httpx.post(f"{place.base}/api/auth/sign-up/email", json={"name": "<b>Ines", "email": f"ines{free_port()}@example.com", "password": PASSWORD})
    return dict(signed.cookies)


def test_the_page_greets_who_is_signed_in(place, page):
    answer = httpx.get(page, cookies=browser(place))
    assert answer.status_code == 200 and "Hello &#60;b&#62;Ines" in answer.text and answer.headers["cache-control"] == "private, no-store"


def test_a_visitor_is_led_to_the_sign_in_and_back(place, page):
    answer = httpx.get(f"{page}/deep?a=1")
    assert answer.status_code == 302 and answer.headers["location"].startswith(f"{place.base}/auth/sign-in?redirect_to=http%3A%2F%2Flocalhost")


def test_a_session_that_is_over_loses_its_cookies_through_the_page(place, page):
    cookies = browser(place)
    httpx.post(f"{place.base}/api/auth/sign-out", cookies=cookies)
    answer = httpx.get(page, cookies=cookies)
    assert answer.status_code == 302 and any("session_token=;" in line and "Max-Age=0" in line for line in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("mint", ["until_refresh", "always", "never"])
def test_the_page_asks_an_api_for_the_user_as_the_setting_allows(tmp_path, mint):
    place = Place(tmp_path, [f"tokens.mint_from_session={mint}"])
    try:
        place.serve()
        api = place.start([sys.executable, "-m", "uvicorn", "main:app", "--app-dir", str(ROOT / "examples/fastapi"), "--port", str(other := free_port())], other)
        port = free_port()
        page = place.start([NODE, str(ROOT / "examples/server-rendering/server.mjs")], port, ready=302, COUNTERSIGN=place.base, API=api, PORT=str(port), HERE=f"http://localhost:{port}")
        cookies = browser(place)
        # The refresh cookie has the path of the API of the service: this server does not get it.
        here = {name: value for name, value in cookies.items() if "refresh" not in name}
        first = httpx.get(page, cookies=here)
        assert first.status_code == (503 if mint == "never" else 200)
        assert ("The API knows your roles: user." in first.text) == (mint != "never")
        httpx.post(f"{place.base}/api/auth/refresh", json={}, cookies=cookies).raise_for_status()
        second = httpx.get(page, cookies=here)
        assert second.status_code == (200 if mint == "always" else 503)
        assert httpx.get(f"{place.base}/api/auth/token", cookies=here).json().get("code") == (None if mint == "always" else "REFRESH_TOKEN_MISSING")
    finally:
        place.stop()
