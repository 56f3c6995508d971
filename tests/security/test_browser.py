"""WEB: cookies, cross-site requests, CORS, headers."""

import json
import re

import httpx
import pytest
from place import PASSWORD, ROOT
from service import APP, EVIL, NUMBERS, REFRESH_COOKIE, SESSION_COOKIE, VERIFY

# Requests that change something, in the form in which a browser's user is allowed them.
UNSAFE = {"/sign-out": {}, "/refresh": {}, "/revoke-sessions": {}, "/update-user": {"name": "y"}, "/change-password": {"currentPassword": PASSWORD, "newPassword": "another good password"},
          "/delete-user": {"password": PASSWORD}}


def lines(answer) -> dict[str, str]:
    return {line.split("=", 1)[0]: line for line in answer.headers.get_list("set-cookie")}


def test_web_01_the_session_cookie(secure, own):
    browser = secure.browser()
    line = lines(browser.answer)[f"__Secure-{SESSION_COOKIE}"]
    assert all(part in line for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/")) and "Domain" not in line
    host = own("sessions.cookie_host_prefix=true", start=False)
    host.issuer = "https://auth.example.com"
    host.serve()
    user = host.sign_up()
    named = lines(host.post("/sign-in/email", {"email": user.email, "password": PASSWORD}))
    assert all(n.startswith("__Host-") and "Path=/;" in line + ";" and "Secure" in line for n, line in named.items())


def test_web_02_the_refresh_cookie(secure):
    line = lines(secure.browser().answer)[f"__Secure-{REFRESH_COOKIE}"]
    assert all(part in line for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/api/auth")) and "Domain" not in line


def test_web_03_bounded(secure):
    for line in lines(secure.browser().answer).values():
        assert len(line) < 4_096 and int(re.search(r"Max-Age=(\d+)", line)[1]) <= 400 * 86_400


def test_web_04_tossed_cookies(secure):
    browser = secure.browser()
    name, good = f"__Secure-{SESSION_COOKIE}", browser.cookies[f"__Secure-{SESSION_COOKIE}"]
    assert secure.get("/session", headers={"Cookie": f"{name}={good}"}).status_code == 200
    for cookie in (f"__secure-{SESSION_COOKIE}={good}", f"=__Secure-{SESSION_COOKIE}={good}", f"%5F_Secure-{SESSION_COOKIE}={good}"):
        assert secure.get("/session", headers={"Cookie": cookie}).status_code == 401, cookie
    me = lambda *cookies: secure.get("/session", headers={"Cookie": "; ".join(f"{name}={value}" for value in cookies)})  # noqa: E731
    # One that is not signed opens nothing and closes nothing, in any order.
    for cookies in (("evil", good), (good, "evil")):
        assert me(*cookies).json()["user"]["id"] == browser.user.id
    # Of two good ones the only one whose session lives counts; two that live are none, and nothing is set or cleared.
    planted = secure.browser()
    theirs = planted.cookies[name]
    for cookies in ((theirs, good), (good, theirs)):
        answer = me(*cookies)
        assert answer.status_code == 401 and not answer.headers.get_list("set-cookie"), "it cannot be told which of two good ones was planted"
        assert secure.get("/get-session", headers={"Cookie": "; ".join(f"{name}={value}" for value in cookies)}).json() is None
    assert secure.post("/sign-out", {}, headers={"Cookie": f"{name}={theirs}"}).status_code == 200
    for cookies in ((theirs, good), (good, theirs)):
        assert me(*cookies).json()["user"]["id"] == browser.user.id
    # What came twice is cleared for the host alone and for the domains above it, and the sign-in that follows works.
    assert secure.post("/sign-out", {}, headers={"Cookie": f"{name}={good}"}).status_code == 200
    cleared = [line for line in me(theirs, good).headers.get_list("set-cookie") if line.startswith(f"{name}=;")]
    assert any("Domain" not in line for line in cleared)
    assert all(any(f"Domain={domain}" in line for line in cleared) for domain in ("auth.example.com", "example.com")), cleared
    assert not any("Domain=com" in line for line in cleared)


def test_web_04_a_planted_refresh_cookie(secure):
    browser, planted = secure.browser(), secure.browser()
    session, refresh = f"__Secure-{SESSION_COOKIE}", f"__Secure-{REFRESH_COOKIE}"
    own, theirs, live = browser.cookies[refresh], planted.cookies[refresh], browser.cookies[session]
    ask = lambda *cookies: secure.post("/refresh", {}, headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies)})  # noqa: E731
    alone = secure.browser().cookies[refresh]
    assert ask((refresh, alone)).status_code == 200
    # Without a session that lives, two families are none, and nothing is overwritten.
    for pair in ((own, theirs), (theirs, own)):
        answer = ask(*((refresh, value) for value in pair))
        assert answer.status_code == 401 and not answer.headers.get_list("set-cookie"), answer.text
    # Beside the session cookie the other family counts as none, alone or first or last.
    answer = ask((session, live), (refresh, theirs))
    assert answer.status_code == 401 and not any("csr_" in line or line.startswith(session) for line in answer.headers.get_list("set-cookie"))
    answer = ask((session, live), (refresh, theirs), (refresh, own))
    assert answer.status_code == 200 and answer.json()["user"]["id"] == browser.user.id
    assert ask((refresh, theirs)).json()["user"]["id"] == planted.user.id, "the other family is as it was"


def test_web_05_no_other_name(secure):
    good = secure.browser().cookies[f"__Secure-{SESSION_COOKIE}"]
    assert secure.get("/session", headers={"Cookie": f"__Secure-{SESSION_COOKIE}={good}"}).status_code == 200
    for name in (SESSION_COOKIE, "session", "session_token", f"__Host-{SESSION_COOKIE}", "app.session_token"):
        assert secure.get("/session", headers={"Cookie": f"{name}={good}"}).status_code == 401


@pytest.mark.parametrize(("path", "body"), UNSAFE.items())
def test_web_06_from_elsewhere_nothing_is_done(service, path, body):
    for origin in (APP, service.issuer):
        assert service.browser().post(path[1:], json=body, headers={"Origin": origin}).status_code == 200, origin
    browser = service.browser()
    for headers in ({"Origin": EVIL}, {"Origin": "null"}, {"Origin": APP + ".evil.example"}, {"Origin": "https://evilapp.example.com"}, {"Origin": "http://app.example.com"},
                    {"Origin": "", "Sec-Fetch-Site": "cross-site"}, {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"}):
        assert browser.post(path[1:], json=body, headers=headers).status_code == 403, headers
    assert browser.get("session").status_code == 200
    assert browser.post("update-user", json={"name": "y"}, headers={"Origin": APP}).status_code == 200


def test_web_07_nor_without_cookies(service):
    user = service.sign_up()
    form = {"email": user.email, "password": PASSWORD}
    bodies = {"/sign-in/email": lambda: form, "/sign-up/email": lambda: {**form, "email": f"new{next(NUMBERS)}@example.com", "name": "x"}, "/refresh": lambda: {"refreshToken": service.sign_in(user.email).refresh},
              "/request-password-reset": lambda: form, "/reset-password": lambda: {"token": service.reset_token(user.email), "newPassword": PASSWORD}}
    for path, body in bodies.items():
        assert service.post(path, body(), headers={"Origin": APP}).status_code == 200, path
        assert service.post(path, body(), headers={"Origin": EVIL}).status_code == 403, path


def test_web_08_json_alone(service):
    kinds = {"application/json": 200, "application/json; charset=utf-8": 200, None: 415, "text/plain": 415, "multipart/form-data; boundary=x": 415, "application/x-www-form-urlencoded": 415, "application/jsonx": 415}
    for kind, status in kinds.items():
        headers = {"Content-Type": kind} if kind else {}
        body = json.dumps({"refreshToken": service.sign_up().refresh}).encode()
        assert service.ask("POST", "/refresh", content=body, headers=headers).status_code == status, kind


def test_web_09_asking_changes_nothing(service):
    browser = service.browser()
    for path, body in [*UNSAFE.items(), ("/revoke-session", {"token": "x"})]:
        assert service.browser().post(path[1:], json=body).status_code == 200, path
        for method in ("GET", "HEAD"):
            assert browser.request(method, path[1:]).status_code == 405, path
    assert browser.get("session").status_code == 200


def test_web_10_cors_is_a_list(service):
    good = service.get("/session", headers={"Origin": APP})
    assert good.headers["access-control-allow-origin"] == APP and good.headers["access-control-allow-credentials"] == "true" and "origin" in good.headers["vary"].lower()
    for origin in (EVIL, "null", APP + ".evil", "https://evilapp.example.com", "http://app.example.com", APP + ":8443", "https://appXexample.com"):
        for method in ("GET", "OPTIONS"):
            answer = service.ask(method, "/session", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
            assert "access-control-allow-origin" not in answer.headers, origin


def test_web_11_no_cors_on_pages(service):
    assert "access-control-allow-origin" in service.get("/session", headers={"Origin": APP}).headers
    answer = service.get("/error", headers={"Origin": EVIL})
    assert answer.headers["content-type"].startswith("text/html") and "access-control-allow-origin" not in answer.headers


def test_web_11_no_cors_on_the_pages_of_auth(service):
    for origin in (EVIL, APP):
        for answer in (httpx.get(service.base + "/auth/sign-in", headers={"Origin": origin}), httpx.options(service.base + "/auth/sign-in", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})):
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_web_12_headers_on_every_answer(secure):
    user = secure.sign_up()
    answers = {200: user.get("/session"), 400: secure.post("/sign-up/email", {}), 401: secure.get("/session"), 403: user.get("/admin/list-users"), 404: secure.get("/nowhere"), 405: secure.get("/sign-out"),
               413: secure.post("/sign-in/email", {"email": "x" * 100_000}), 415: secure.ask("POST", "/refresh", content=b"x")}
    for status, answer in [*answers.items(), (401, secure.ask("HEAD", "/session"))]:
        assert answer.status_code == status
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer" and headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"] and headers["cross-origin-resource-policy"] == "same-origin"
        assert int(re.search(r"max-age=(\d+)", headers["strict-transport-security"])[1]) >= 31_536_000


def test_web_13_json_is_no_page(service):
    assert service.get("/session").headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_web_14_pages_say_nothing_of_a_stranger(service):
    assert "INVALID_TOKEN" in service.get("/error", params={"error": "INVALID_TOKEN"}).text, "the page does read its query"
    for probe in ("<script>alert(1)</script>", '"onmouseover=alert(1) x="', "javascript:alert(1)", "</title><svg onload=alert(1)>"):
        answer = service.get("/error", params={"error": probe, "error_description": probe, "callbackURL": probe})
        assert "<script>alert" not in answer.text and "<svg" not in answer.text and '"onmouseover' not in answer.text and 'href="javascript' not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy


def test_web_14_hosted_pages(service):
    assert 'value="/welcome"' in httpx.get(service.base + "/auth/sign-in", params={"redirect_to": "/welcome"}).text, "the page does read its query"
    for path in ("/auth/sign-in", "/auth/sign-up", "/auth/forgot-password", "/auth/verify-email", "/auth/nowhere"):
        answer = httpx.get(service.base + path, params={"redirect_to": '/"><script>alert(1)</script>', "error": "<svg onload=alert(1)>", "done": "<b>"})
        assert "<script>alert" not in answer.text and "<svg" not in answer.text, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "unsafe" not in policy, path
        assert answer.headers["x-frame-options"] == "DENY" and not re.search(r"<script(?! src=)| on[a-z]+=| style=", answer.text), path


def test_web_15_personal_answers_are_not_stored(service):
    user = service.sign_up()
    for path in ("/session", "/get-session", "/list-sessions", "/token", "/list-accounts"):
        assert user.get(path).headers["cache-control"] == "no-store", path


def test_web_16_after_a_post_303(own):
    place = own()
    user = place.sign_up()
    # A browser keeps the method and the body at 307 and 308: it would carry a password on. 302 leaves it to the browser.
    seen = []

    def send(path: str, cookies=None, **form) -> httpx.Response:
        answer = httpx.post(f"{place.base}{path}", data=form, cookies=cookies, headers={"Origin": place.issuer})
        seen.append((path, answer.status_code))
        return answer

    signed = send("/auth/sign-in", email=user.email, password=user.password, redirect_to="/welcome")
    assert signed.status_code == 303 and signed.headers["location"] == "/welcome"
    cookies = dict(signed.cookies)
    token = re.search(r'name="csrf" value="([^"]+)"', httpx.get(f"{place.base}/auth/account", cookies=cookies).text)[1]
    assert send("/auth/account/name", cookies, csrf=token, name="Ana").status_code == 303
    assert send("/auth/sign-out", cookies, csrf=token).status_code == 303
    assert send("/auth/forgot-password", email=user.email).headers["location"].endswith("/auth/forgot-password?done=sent"), "a page that says what to do next"
    # The API names the way on and leads nowhere; the links of mails, posted, do.
    assert send("/api/auth/sign-in/email", email=user.email, password=user.password, callbackURL="/welcome").status_code == 200
    assert send("/api/auth/verify-email", token="x", callbackURL="/welcome").status_code == 303
    # A link that is good, opened in another browser than the one that asked, leads to the choice of a password, and that leads on.
    other = place.sign_up()
    assert place.post("/send-verification-email", {"email": other.email}).status_code == 200
    place.choose(place.follow(place.link(other.email, VERIFY)), "another good password")
    document = (ROOT / "openapi.yaml").read_text()
    posts = re.findall(r"^  (/\S+):\n(?:(?!^  /)(?:.*\n))*?    post:", document, re.M)
    assert len(posts) > 30
    for path in posts:
        send(path, token="x", email=user.email, password="wrong", callbackURL="/welcome", redirectTo="/welcome")
    assert not [one for one in seen if one[1] in (301, 302, 307, 308)], seen


def test_web_18_vary_names_what_counted(service):
    assert "origin" in service.get("/session", headers={"Origin": APP}).headers["vary"].lower()


def test_web_19_no_line_breaks_into_headers(service):
    assert service.get("/verify-email?token=x&callbackURL=/a").headers["location"].startswith("/a?")
    assert service.get("/session", headers={"X-Request-Id": "a-b.c"}).headers["x-request-id"] == "a-b.c"
    for path in ("/error?error=%0d%0aX-Evil:1", "/verify-email?token=x&callbackURL=/a%0d%0aX-Evil:1", "/reset-password/x?callbackURL=/a%0d%0aX-Evil:1"):
        assert "x-evil" not in service.get(path).headers
    assert "x-evil" not in service.get("/session", headers={"X-Request-Id": "a b"}).headers
    assert service.get("/session", headers={"X-Request-Id": "a b;c"}).headers["x-request-id"] != "a b;c"


def test_web_21_a_sibling_is_a_stranger(service):
    browser = service.browser()
    del browser.headers["Origin"]
    assert browser.post("update-user", json={"name": "x"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert browser.post("update-user", json={"name": "x"}, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403


def test_web_23_a_wildcard_is_one_label(own):
    place = own("server.trusted_origins=https://*.example.com")
    def allowed(origin):
        return "access-control-allow-origin" in place.get("/session", headers={"Origin": origin}).headers
    assert allowed("https://a.example.com")
    for origin in ("https://example.com", "https://a.b.example.com", "https://a.example.com.evil", "https://aexample.com", "http://a.example.com", "https://a.example.com:8443", "https://.example.com", "https://evil.com#a.example.com"):
        assert not allowed(origin), origin
    assert place.starts("server.trusted_origins=*")[0] == 78 and place.starts("server.trusted_origins=https://*")[0] == 78


def cookies_of(user) -> dict:
    signed = httpx.post(f"{user.service.base}/api/auth/sign-in/email", json={"email": user.email, "password": user.password})
    return {SESSION_COOKIE: signed.cookies[SESSION_COOKIE]}


def test_web_22_a_form_belongs_to_its_session(service):
    ana, bob = cookies_of(service.sign_up()), cookies_of(service.sign_up())
    token = lambda cookies: re.search(r'name="csrf" value="([^"]+)"', httpx.get(f"{service.base}/auth/account", cookies=cookies).text)[1]  # noqa: E731
    send = lambda cookies, csrf: httpx.post(f"{service.base}/auth/account/name", cookies=cookies, data={"csrf": csrf, "name": "Eve"}).status_code  # noqa: E731
    assert send(ana, token(ana)) == 303 and send(bob, token(bob)) == 303
    assert send(ana, token(bob)) == 403 and send(ana, "") == 403
