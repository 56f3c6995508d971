"""REF: refresh tokens."""

import re
import socket

import httpx
from place import free_port
from service import EVIL, REFRESH_COOKIE, at_once, decode, unb64


def code(answer) -> str:
    return answer.json().get("code", "200")


def test_ref_01_opaque_and_only_hashed(service):
    user = service.sign_up()
    assert re.fullmatch(r"csr_[A-Za-z0-9_-]{135}", user.refresh)
    everything = service.kept().read_bytes() + (service.folder / "data/countersign.db-wal").read_bytes()
    for secret in (user.refresh, user.token):
        assert secret.encode() not in everything and secret[4:].encode() not in everything and unb64(secret[4:]) not in everything


def test_ref_02_spent_is_dead(service):
    user = service.sign_up()
    following = service.rotate(user.refresh).json()["refreshToken"]
    service.later(user)
    assert code(service.rotate(user.refresh)) == "REFRESH_TOKEN_REUSED"
    assert service.rotate(following).status_code == 401


def test_ref_03_one_successor_however_many_ask(service):
    user = service.sign_up()
    answers = at_once(lambda: service.rotate(user.refresh), 50)
    given = {a.json().get("refreshToken") for a in answers if a.status_code == 200} - {None}
    assert len(given) == 1 and {a.status_code for a in answers} <= {200, 429}


def test_ref_04_reuse_ends_the_family_and_is_told(service):
    user = service.sign_up()
    following = service.rotate(user.refresh).json()["refreshToken"]
    service.later(user)
    service.rotate(user.refresh)
    assert code(service.rotate(following)) == "REFRESH_TOKEN_REVOKED" and not user.is_in() and service.who(user.access).status_code == 401
    assert service.audit("refresh_token.reused", user.id)


def test_ref_05_the_grace_is_small_and_cannot_fork(service):
    user = service.sign_up()
    first = service.rotate(user.refresh).json()["refreshToken"]
    assert [service.rotate(user.refresh).json()["refreshToken"] for _ in range(2)] == [first, first]
    assert service.starts("sessions.refresh_grace=1h", "sessions.refresh_cooldown=2h")[0] == 78, "a grace of an hour is none"
    service.later(user)
    assert code(service.rotate(user.refresh)) == "REFRESH_TOKEN_REUSED"


def test_ref_06_neither_a_crash_nor_a_clock_revives(own):
    place = own()
    user = place.sign_up()
    assert place.rotate(user.refresh).status_code == 200
    place.later(user)
    assert code(place.rotate(user.refresh)) == "REFRESH_TOKEN_REUSED"
    place.kill()
    place.serve(clock=-3600)
    assert place.rotate(user.refresh).status_code == 401


def test_ref_07_a_lost_answer_is_had_again(service):
    user = service.sign_up()
    body = f'{{"refreshToken":"{user.refresh}"}}'.encode()
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"POST /api/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert service.rotate(user.refresh).status_code == 200


def test_ref_08_idle_and_absolute_ends(own):
    place = own("sessions.idle_ttl=2d", "sessions.absolute_ttl=5d")
    idle, busy = place.sign_up(), place.sign_up()
    token = busy.refresh
    for day in (1, 2, 3, 4):
        place.kill()
        place.serve(clock=day * 86_400)
        token = place.rotate(token).json()["refreshToken"]
    assert code(place.rotate(idle.refresh)) == "REFRESH_TOKEN_EXPIRED"
    place.kill()
    place.serve(clock=5 * 86_400 + 60)
    assert code(place.rotate(token)) == "REFRESH_TOKEN_EXPIRED", "used every day, and over all the same"


def test_ref_09_nothing_is_chosen_at_a_refresh(service):
    wishes = {"aud": EVIL, "scope": "admin", "role": "admin", "roles": ["admin"], "sub": "1", "userId": "1", "acr": "x", "auth_time": 1, "client_id": "x", "expiresIn": 10**9, "ttl": 10**9, "rememberMe": True, "permissions": {"user": ["create"]}, "claims": {"sub": "1"}, "customClaims": {"roles": ["admin"]}}
    moving = {"iat", "exp", "jti"}
    def said(access: str) -> dict:
        claims = decode(access)[1]
        assert claims["exp"] - claims["iat"] <= 3600
        return {name: value for name, value in claims.items() if name not in moving}
    user = service.sign_up()
    usual = said(service.rotate(user.refresh).json()["accessToken"])
    assert usual == said(user.access), "nothing changes by itself"
    for name, value in [*wishes.items(), (None, wishes)]:
        wish = value if name is None else {name: value}
        answer = service.post("/refresh", {"refreshToken": user.refresh, **wish})
        # Without effect: a wish that is granted shows in a claim.
        assert answer.status_code == 200 and said(answer.json()["accessToken"]) == usual, name
        texts = {n: v if isinstance(v, str) else str(v) for n, v in wish.items()}
        by_query = service.post("/refresh", {"refreshToken": user.refresh}, params=texts)
        assert by_query.status_code == 200 and said(by_query.json()["accessToken"]) == usual, name
        standard = service.ask("POST", "/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": user.refresh, **texts})
        assert standard.status_code == 200 and said(standard.json()["access_token"]) == usual, name
        # None of them has used the session up: without a wish it is served.
        assert said(service.rotate(user.refresh).json()["accessToken"]) == usual, name
    # An audience is one of the settings: another one is refused, and uses nothing up.
    for name in ("audience", "resource"):
        wish = {name: EVIL}
        in_body = service.post("/refresh", {"refreshToken": user.refresh, **wish})
        by_query = service.post("/refresh", {"refreshToken": user.refresh}, params=wish)
        standard = service.ask("POST", "/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": user.refresh, **wish})
        assert [a.status_code for a in (in_body, by_query, standard)] == [400] * 3 and standard.json()["error"] == "invalid_target", name
        assert said(service.rotate(user.refresh).json()["accessToken"]) == usual, name


def test_ref_10_the_user_is_asked_at_each(service):
    for do, undo in (("ban", None), ("disable", None), ("delete", None)):
        user = service.sign_up()
        refresh = service.rotate(user.refresh).json()["refreshToken"]
        service.do("users", do, user.email, "--yes")
        assert service.rotate(refresh).status_code == 401, do


def test_ref_11_a_new_password_ends_the_others(service):
    user = service.sign_up()
    others = [service.sign_in(user.email) for _ in range(3)]
    token = service.reset_token(user.email)
    assert service.post("/reset-password", {"token": token, "newPassword": "another good password"}).status_code == 200
    assert all(service.rotate(u.refresh).status_code == 401 for u in (user, *others))
    user = service.sign_in(user.email, "another good password")
    other = service.sign_in(user.email, "another good password")
    user.post("/change-password", {"currentPassword": "another good password", "newPassword": "a third good password"})
    assert service.rotate(other.refresh).status_code == 401
    after = service.sign_in(user.email, "a third good password")
    service.do("users", "update", user.email, "--email", f"moved-{user.email}")
    assert service.rotate(after.refresh).status_code == 401


def test_ref_12_signing_out_ends_it_and_twice_is_no_error(service):
    user = service.sign_up()
    refresh = service.rotate(user.refresh).json()["refreshToken"]
    assert [user.post("/sign-out").status_code for _ in range(2)] == [200, 200]
    assert service.rotate(refresh).status_code == 401


def test_ref_13_a_cookie_never_becomes_a_body(service):
    browser = service.browser()
    for form in ({}, {"tokenDelivery": "body"}, {"delivery": "body", "mode": "body"}):
        assert "refreshToken" not in browser.post("refresh", json=form).json()
    stolen = browser.cookies[REFRESH_COOKIE]
    assert code(service.rotate(stolen)) == "REFRESH_TOKEN_INVALID"


def test_ref_14_a_cookie_is_checked_for_where_it_comes_from(service):
    browser = service.browser()
    assert browser.post("refresh").status_code == 200
    assert browser.post("refresh", headers={"Origin": EVIL}).status_code == 403
    assert browser.post("refresh", headers={"Origin": "", "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.get("refresh").status_code == 405
    assert browser.post("refresh").status_code == 200


def test_ref_15_exactly_or_not(service):
    user = service.sign_up()
    for token in (user.refresh[:-1], user.refresh + "A", user.refresh.upper(), f" {user.refresh}", user.refresh.replace("_", "%5F", 1), user.refresh + "=", "", "csr_"):
        assert service.rotate(token).status_code == 401, token
    assert service.rotate(user.refresh).status_code == 200


def test_ref_16_one_error_at_the_oauth_endpoint(service):
    users = [service.sign_up() for _ in range(2)]
    assert service.ask("POST", "/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": users[0].refresh}).status_code == 200
    users[0].post("/sign-out")
    tokens = ["csr_unknown", users[0].refresh, users[1].refresh[:-1]]
    answers = [service.ask("POST", "/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": t}) for t in tokens]
    assert {(a.status_code, a.text) for a in answers} == {(400, answers[0].text)} and answers[0].json()["error"] == "invalid_grant"


def test_ref_17_expiry_is_decided_by_the_question(own):
    place = own("sessions.idle_ttl=2d", "sessions.absolute_ttl=3d")
    user = place.sign_up()
    place.kill()
    place.serve(clock=2 * 86_400 + 1)
    assert place.rows("SELECT COUNT(*) FROM sessions")[0][0] == 1, "no cleaner was here"
    assert code(place.rotate(user.refresh)) == "REFRESH_TOKEN_EXPIRED" and not user.is_in()


def test_ref_18_history_does_not_grow(own):
    place = own("sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s")
    user = place.sign_up()
    token, rows = user.refresh, place.rows("SELECT COUNT(*) FROM sessions")
    for _ in range(500):
        token = place.rotate(token).json()["refreshToken"]
    assert place.rows("SELECT COUNT(*) FROM sessions") == rows == [(1,)], "a session is one row, however often it was refreshed"
    assert code(place.rotate(user.refresh)) == "REFRESH_TOKEN_REUSED", "and the oldest token of all is still known"


def test_ref_20_read_where_it_was_written(own):
    place = own()
    second = place.serve(free_port())

    user = place.sign_up()
    for _ in range(20):
        fresh = place.sign_in(user.email)
        assert httpx.post(f"{second}/api/auth/refresh", json={"refreshToken": fresh.refresh}).status_code == 200
        place.post("/sign-out", {}, headers=fresh.bearer)
        assert httpx.post(f"{second}/api/auth/refresh", json={"refreshToken": fresh.refresh}).status_code == 401
