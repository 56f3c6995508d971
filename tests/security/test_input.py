"""API: what comes in over the wire."""

import json
import re
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import yaml
from place import PASSWORD
from service import NUMBERS, at_once, document

JSON = {"Content-Type": "application/json"}


def test_api_01_every_refusal_has_one_shape(service):
    user = service.sign_up()
    refusals = [service.get("/nowhere"), service.get("/sign-out"), service.post("/sign-up/email", {}), service.ask("POST", "/refresh", content=b"x"), service.ask("POST", "/sign-in/email", content=b"{", headers=JSON),
                service.rotate("x"), user.get("/admin/list-users"), service.post("/sign-in/email", {"email": "x" * 70_000})]
    listed = set(re.findall(r"(?m)^\| `([A-Z0-9_]+)` \|", document("docs", "errors.md")))
    assert [answer.status_code for answer in refusals] == [404, 405, 400, 415, 400, 401, 403, 413]
    for answer in refusals:
        body = answer.json()
        assert body["code"] in listed and body["message"] and body.keys() <= {"code", "message", "errors", "requestId"}
    oauth = service.ask("POST", "/oauth2/token", data={}).json()
    assert oauth.keys() <= {"error", "error_description"} and oauth["error"] == "invalid_request"


def test_api_02_unknown_members_do_nothing(service):
    user = service.sign_up(unknown="x", isAdmin=True, permissions2=["*"])
    assert user.get("/session").json()["user"]["role"] == "user"
    assert service.post("/sign-up/email", {"name": "x", "email": "y@example.com", "password": PASSWORD, "role": "admin"}).json()["code"] == "FIELD_NOT_ALLOWED"


def test_api_03_methods(service):
    paths = yaml.safe_load(document("openapi.yaml"))["paths"]
    for path, operations in paths.items():
        known = {m.upper() for m in operations if m in ("get", "post", "put", "delete", "patch")}
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - known:
            answer = httpx.request(method, service.base + path.replace("{token}", "x"))
            assert answer.status_code == 405 and set(answer.headers["allow"].replace(" ", "").split(",")) - {"HEAD", "OPTIONS"} == known, (method, path)
    for method in (b"TRACE", b"CONNECT", b"BREW"):
        assert service.status(method + b" /api/auth/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == 405, method
    assert service.get("/health").status_code == 200


def test_api_04_head_is_get_without_a_body(service):
    for path in ("/jwks", "/health", "/.well-known/openid-configuration", "/ok"):
        get, head = service.get(path), service.ask("HEAD", path)
        assert head.status_code == get.status_code == 200 and not head.content and head.headers["content-length"] == get.headers["content-length"], path


def test_api_05_no_member_twice(service):
    user = service.sign_up()
    for path, body in (("/sign-in/email", {"email": user.email, "password": user.password}), ("/refresh", {"refreshToken": user.refresh})):
        assert service.ask("POST", path, content=json.dumps(body).encode(), headers=JSON).status_code == 200, path
    for body in (b'{"email":"a@example.com","email":"b@example.com","password":"x"}', b'{"refreshToken":"a","refreshToken":"b"}'):
        path = "/refresh" if b"refresh" in body else "/sign-in/email"
        assert service.ask("POST", path, content=body, headers=JSON).json()["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"x"', b"5", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"email":"\xff","password":"x"}', b'{"email":"\\ud800","password":"x"}',
                                  b'{"email":"a@example.com","password":"a\\u0000b long enough"}', b'{"email":1e999}', b'{"email":{}}', b"{'email':'x'}", b'{"email":"a@example.com",}'])
def test_api_06_bad_text_is_the_client_s_fault(service, body):
    user = service.sign_up()
    good = json.dumps({"email": user.email, "password": user.password}).encode()
    assert service.ask("POST", "/sign-in/email", content=good, headers=JSON).status_code == 200
    for path in ("/sign-in/email", "/sign-up/email", "/refresh", "/reset-password", "/request-password-reset"):
        # 400, or 401 for a token that is none: which check comes first is the path's own.
        status = service.ask("POST", path, content=body, headers=JSON).status_code
        # A request for a mail needs no password: an additional member is ignored.
        assert 400 <= status < 500 or status == 200 and path == "/request-password-reset" and b"a@example.com" in body, path


def test_api_07_numbers(own):
    service = own()
    admin, user = service.admin(), service.sign_up()

    def ban(value):
        answer = service.ask("POST", "/admin/ban-user", content=f'{{"userId":"{user.id}","banExpiresIn":{value}}}'.encode(), headers={**JSON, **admin.bearer})
        return answer, admin.get("/admin/get-user", params={"id": user.id}).json()

    for value in ("1e999", "9223372036854775808", "18446744073709551616", "-1", "-0.5", "1.5", "1e2", '"5"', "true", "[5]", "{}", "3155760001"):
        answer, after = ban(value)
        assert answer.status_code == 400 and not after["banned"], (value, answer.text, after)
        assert "banExpiresIn" in answer.text or answer.json()["code"] == "BAD_REQUEST", (value, answer.text)
    answer, after = ban("3155760000")
    assert answer.status_code == 200 and after["banned"] and after["banExpires"].startswith("21"), (answer.text, after)
    # A page is as long as is asked for, within bounds; what is no whole number is none. More users than the longest page has:
    columns = [name for _, name, *_ in service.rows("PRAGMA table_info(users)")]
    copied = ", ".join({"id": "printf('%08x-0000-4000-8000-000000000000', n)", "email": "'bulk' || n || '@example.com'"}.get(name, name) for name in columns)
    service.rows(f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1100) INSERT INTO users ({', '.join(columns)}) SELECT {copied} FROM users, c WHERE email = ?", user.email)

    def page(**query):
        answer = admin.get("/admin/list-users", params=query)
        assert answer.status_code == 200, (query, answer.text)
        return [u["id"] for u in answer.json()["users"]]

    usual = page()
    assert (len(page(limit="2")), len(usual), len(page(limit="1000")), len(page(limit="1001")), len(page(limit="1000000000"))) == (2, 100, 1_000, 1_000, 1_000)
    for value in ("0", "-1", "1.5", "1e1", "x", "99999999999999999999", "0x10", " 5"):
        assert len(page(limit=value)) == 100, value
    assert page(offset="1", limit="5") == usual[1:6]
    for value in ("-1", "1.5", "1e1", "x", "99999999999999999999"):
        assert page(offset=value) == usual, value
    assert page(offset="9223372036854775807") == []


@pytest.mark.parametrize("request_", [
    b"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    b"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nA b: y\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
    b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_api_08_no_request_in_a_request(service, request_):
    answer = service.raw(request_, 2)
    assert answer.count(b"HTTP/1.1 ") <= 1 and (not answer or answer.split(b" ")[1] in (b"400", b"415", b"401")), answer
    assert b"smuggled" not in answer


def test_api_09_one_host(service):
    assert service.status(b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n") == 400
    assert service.status(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n") == 400
    assert service.status(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == 200
    # A request of a victim's browser under another host name (DNS rebinding) has that name's origin, and no cookies.
    assert service.post("/sign-in/email", {"email": "a@example.com", "password": PASSWORD}, headers={"Host": "rebound.example", "Origin": "http://rebound.example"}).status_code == 403


def test_api_10_a_query_says_things_once(service):
    admin = service.admin()
    answer = admin.get("/admin/list-users?limit=1&limit=9")
    assert answer.status_code == 400 or len(answer.json()["users"]) == 1, "never something in between"


def test_api_11_pages_are_bounded(service):
    admin = service.admin()
    for limit in ("0", "-1", "1000000000", "x"):
        answer = admin.get("/admin/list-users", params={"limit": limit})
        assert answer.status_code == 400 or len(answer.json()["users"]) <= 1_000
    for cursor in ("x", "'; DROP TABLE users; --", "AAAA", "é"):
        answer = admin.get("/admin/audit", params={"before": cursor, "cursor": cursor})
        assert answer.status_code == 400 and "sql" not in answer.text.lower()


def test_api_12_searches_are_words(service):
    admin = service.admin()
    marked = service.sign_up(name="100% _sure_\\")
    def found(value, **more):
        return [u["id"] for u in admin.get("/admin/list-users", params={"searchField": "name", "searchValue": value, **more}).json()["users"]]
    assert found("100%") == found("_sure_") == found("\\") == [marked.id] and not found("%%%%") and not found("______________")
    assert admin.get("/admin/list-users", params={"sortBy": "name);--"}).status_code == 400
    assert admin.get("/admin/list-users", params={"filterField": "password", "filterValue": "x"}).status_code == 400


def test_api_13_ids_are_ids(service):
    admin = service.admin()
    known = service.sign_up()
    assert admin.get("/admin/get-user", params={"id": known.id}).status_code == 200
    # 404: no user has it; 400: not a text that an id could be.
    for odd, asked, posted in (("..%2fadmin", 404, 404), ("\0", 400, 400), ("1", 404, 404), (str(uuid.uuid4()).upper(), 404, 404), ("{" + str(uuid.uuid4()) + "}", 404, 404), ("x" * 5_000, 404, 400), ("' OR 1=1--", 404, 404)):
        assert admin.get("/admin/get-user", params={"id": odd}).status_code == asked, odd
        assert admin.post("/admin/remove-user", {"userId": odd}).status_code == posted, odd
    assert admin.post("/admin/remove-user", {"userId": known.id}).status_code == 200


def test_api_14_who_hangs_up_leaves_nothing_half_done(own):
    place = own()
    def hang_up(n):
        body = json.dumps({"name": "x", "email": f"u{n}@example.com", "password": PASSWORD}).encode()
        with socket.create_connection(("127.0.0.1", place.port)) as connection:
            connection.sendall(b"POST /api/auth/sign-up/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            time.sleep(n % 40 / 4_000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hang_up, range(400)))
    assert place.get("/health/ready").status_code == 200
    time.sleep(1)
    assert place.rows("SELECT COUNT(*) FROM users u WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.user_id = u.id)") == [(0,)]
    assert place.rows("SELECT COUNT(*) FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = s.user_id)") == [(0,)]
    assert place.run("audit", "verify").returncode == 0


def test_api_15_errors_say_nothing_of_the_inside(own):
    place = own("database.lock_timeout=200ms")
    user = place.sign_up()
    place.stop_database()
    for answer in (user.post("/update-user", {"name": "y"}), place.post("/sign-up/email", {"name": "x", "email": "b@example.com", "password": PASSWORD}), place.rotate(user.refresh)):
        assert answer.status_code == 503 and answer.json()["requestId"]
        assert not re.search(r"(?i)sql|countersign\.db|locked|/data|busy|\.rs|panick", answer.text)


def test_api_16_json_whatever_is_asked_for(service):
    for accept in ("text/html", "application/xml", "*/*;q=0", "nonsense"):
        # Outside the API a browser, which asks for HTML by name, gets a page.
        outside = "text/html" if accept == "text/html" else "application/json"
        for base, kind in ((f"{service.base}/api/auth", "application/json"), (service.base, outside)):
            answer = httpx.get(f"{base}/nowhere<script>", headers={"Accept": accept})
            assert answer.status_code == 404, (base, accept)
            assert answer.headers["content-type"].startswith(kind) and "<script>" not in answer.text, (base, accept)


def test_api_17_the_description_is_true(service):
    described = yaml.safe_load(document("openapi.yaml"))["paths"]
    user, asked = service.sign_up(), 0
    for path, operations in described.items():
        for method in {"get", "post"} & operations.keys():
            for headers in ({}, user.bearer, {"Origin": "https://evil.example"}):
                # Requests that end this session are left out.
                if headers == user.bearer and path.endswith(("/sign-out", "/revoke-sessions", "/delete-user")):
                    continue
                answer = httpx.request(method, service.base + path.replace("{token}", "x"), headers=headers, **({"json": {}} if method == "post" else {}))
                assert str(answer.status_code) in operations[method]["responses"], (method, path, answer.status_code)
                asked += 1
    assert asked > 140, "and Schemathesis asks more: tests/schemathesis.py"


def test_api_18_old_and_odd_forms(service):
    assert service.status(b"GET /health HTTP/1.0\r\n\r\n") == 200
    assert service.status(b"GET http://evil.example/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == 200
    upgrade = service.raw(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", 2)
    assert upgrade.startswith(b"HTTP/1.1 200")
    expect = service.raw(b"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 3)
    assert b"401" in expect
    assert service.status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 2) == 0, "the connection ends without an answer"


def test_api_19_what_operators_see_is_for_operators(service):
    assert service.get("/health").json() == {"status": "ok"}
    for path in ("/metrics", "/api/auth/metrics", "/debug", "/api/auth/admin"):
        assert httpx.get(service.base + path).status_code == 404


def test_api_20_nothing_is_fetched_for_a_stranger(own):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1.5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        place = own()
        user = place.sign_up(image=url, callbackURL="/x")
        user.post("/update-user", {"image": url})
        place.post("/request-password-reset", {"email": user.email, "redirectTo": url})
        place.get("/verify-email", params={"token": "x", "callbackURL": url})
        with pytest.raises(TimeoutError):
            listener.accept()


def test_api_21_rules_hold_when_many_come_at_once(service):
    user = service.sign_up()
    fresh = [service.sign_in(user.email) for _ in range(3)]
    assert set(at_once(lambda: fresh[0].post("/sign-out").status_code)) == {200}
    assert set(at_once(lambda: user.post("/revoke-other-sessions").status_code)) == {200} and user.is_in() and not fresh[1].is_in()
    names = at_once(lambda: user.post("/update-user", {"name": f"n{next(NUMBERS)}"}).status_code)
    assert set(names) == {200}


def test_api_22_one_way_to_write_a_time(service):
    def times(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from ([inner] if name.endswith(("At", "Expires")) and inner else times(inner))
        elif isinstance(value, list):
            for inner in value:
                yield from times(inner)
    user = service.sign_up()
    seen = [t for path in ("/session", "/list-sessions", "/list-accounts") for t in times(user.get(path).json())]
    assert seen and all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t) for t in seen)
