"""SES: sessions."""

import uuid

from place import PASSWORD
from service import NEW_SIGN_IN, SESSION_COOKIE, document, unb64


def test_ses_01_an_id_that_was_planted_is_never_taken_up(service):
    user = service.sign_up()
    planted = "css_" + "A" * 43
    answer = service.post("/sign-in/email", {"email": user.email, "password": PASSWORD}, headers={"Cookie": f"{SESSION_COOKIE}={planted}.x"})
    assert answer.cookies[SESSION_COOKIE].split(".")[0] != planted
    assert service.get("/get-session", headers={"Cookie": f"{SESSION_COOKIE}={planted}.x"}).json() is None
    before, after = service.sign_in(user.email).token, service.sign_in(user.email).token
    assert before != after


def test_ses_02_random_and_hashed(service):
    user = service.sign_up()
    assert len(unb64(user.token[4:])) == 32
    assert user.token.encode() not in service.kept().read_bytes() + (service.folder / "data/countersign.db-wal").read_bytes()
    signed = service.browser().cookies[SESSION_COOKIE]
    assert service.get("/session", headers={"Cookie": f"{SESSION_COOKIE}={signed}"}).status_code == 200
    for cookie in ('"', "=", "é", "css_é.x", '"css_x', "a=b=c", "%00"):
        assert service.get("/session", headers={"Cookie": f"{SESSION_COOKIE}={cookie}".encode()}).status_code == 401


def test_ses_03_signing_out_is_the_server_s(service):
    browser = service.browser()
    cookie = f"{SESSION_COOKIE}={browser.cookies[SESSION_COOKIE]}"
    assert service.get("/session", headers={"Cookie": cookie}).status_code == 200
    answer = browser.post("sign-out", json={})
    assert answer.status_code == 200 and "Max-Age=0" in " ".join(answer.headers.get_list("set-cookie"))
    assert service.get("/get-session", headers={"Cookie": cookie}).json() is None and service.get("/session", headers={"Cookie": cookie}).status_code == 401


def test_ses_04_idle_and_absolute(own):
    place = own("sessions.idle_ttl=2d", "sessions.absolute_ttl=3d", "sessions.update_age=1h")
    idle, busy = place.sign_up(), place.sign_up()
    for hours in (36, 70):
        place.kill()
        place.serve(clock=hours * 3600)
        assert busy.get("/get-session").json(), hours
    assert idle.get("/get-session").json() is None
    place.kill()
    place.serve(clock=73 * 3600)
    assert busy.get("/get-session").json() is None
    assert "sessions.idle_ttl" in document("docs", "settings.md")


def test_ses_05_the_list_opens_nothing(service):
    user = service.sign_up()
    listed = user.get("/list-sessions")
    assert user.token not in listed.text and user.refresh not in listed.text
    for session in listed.json():
        assert {service.who(session[name]).status_code for name in ("token", "id")} == {401}
    assert user.is_in(), "the token that the list does not show"


def test_ses_06_only_one_s_own(service):
    mine, theirs = service.sign_up(), service.sign_up()
    handle = theirs.get("/list-sessions").json()[0]["id"]
    foreign, unknown = (mine.post("/revoke-session", {"token": t}) for t in (handle, str(uuid.uuid4())))
    assert (foreign.status_code, foreign.text) == (unknown.status_code, unknown.text) and theirs.is_in()
    mine.post("/revoke-sessions"), mine.post("/revoke-other-sessions")
    assert theirs.is_in()


def test_ses_07_a_session_alone_changes_nothing_that_matters(own):
    place = own()
    user = place.sign_up()
    assert user.post("/change-password", {"newPassword": "another good password"}).status_code == 400
    assert user.post("/change-password", {"currentPassword": "wrong", "newPassword": "another good password"}).status_code == 400
    place.kill()
    place.serve(clock=2 * 86_400)
    assert user.is_in() and user.post("/change-email", {"newEmail": "evil@example.com"}).json()["code"] == "SESSION_NOT_FRESH"
    user.post("/delete-user")
    assert user.is_in() and place.rows("SELECT COUNT(*) FROM users WHERE id = ?", user.id) == [(1,)], "a mail was asked for, no more"


def test_ses_08_who_is_deleted_is_nowhere(service):
    for how in ("delete", "disable", "ban"):
        user = service.sign_up()
        assert user.is_in() and service.who(user.access).status_code == 200
        service.do("users", how, user.email, "--yes")
        assert not user.is_in() and service.rotate(user.refresh).status_code == 401 and service.who(user.access).status_code == 401


def test_ses_09_no_cache_says_otherwise(service):
    user = service.sign_up()
    for _ in range(3):
        assert user.get("/get-session").json() and user.is_in()
    service.do("sessions", "revoke", "--user", user.email, "--yes")
    assert user.get("/get-session").json() is None and not user.is_in() and user.get("/token").status_code == 401
    assert service.starts("sessions.cookie_cache=10m")[0] == 78


def test_ses_10_half_a_sign_in_is_none(own):
    place = own("sign_up.require_email_verification=true")
    answer = place.post("/sign-up/email", {"name": "Ana", "email": "ana@example.com", "password": PASSWORD, "tokenDelivery": "body"})
    assert not answer.json().get("token") and "accessToken" not in answer.json() and "set-cookie" not in answer.headers
    answer = place.attempt("ana@example.com")
    assert answer.json()["code"] == "EMAIL_NOT_VERIFIED" and "set-cookie" not in answer.headers and "accessToken" not in answer.text


def test_ses_11_everywhere(own):
    place = own()
    admin, mine, theirs, others = place.admin(), place.sign_up(), place.sign_up(), place.sign_up()
    everybody = {"mine": [mine, place.sign_in(mine.email)], "theirs": [theirs, place.sign_in(theirs.email)], "others": [others, place.sign_in(others.email)], "admin": [admin]}
    held = {id(session): session.refresh for sessions in everybody.values() for session in sessions}
    def refreshes(session) -> bool:
        answer = place.rotate(held[id(session)])
        held[id(session)] = answer.json().get("refreshToken", held[id(session)])
        # Nothing else tells a session that lives from one that is over.
        assert answer.status_code in (200, 401)
        return answer.status_code == 200
    def over(*names: str) -> None:
        for name, sessions in everybody.items():
            for session in sessions:
                ended = name in names
                assert session.is_in() != ended, name
                assert refreshes(session) != ended, name
                assert (place.who(session.access).status_code == 401) == ended, name
    over()
    assert mine.post("/revoke-sessions").status_code == 200
    over("mine")
    assert mine.post("/revoke-sessions").status_code == 401 and others.post("/admin/revoke-user-sessions", {"userId": theirs.id}).status_code == 403
    over("mine")
    assert admin.post("/admin/revoke-user-sessions", {"userId": theirs.id}).status_code == 200
    over("mine", "theirs")
    place.do("sessions", "revoke", "--all", "--yes")
    over(*everybody)


def test_ses_12_two_credentials_at_once(service):
    mine, theirs = service.browser(), service.sign_up()
    both = mine.get("session", headers={"Authorization": f"Bearer {theirs.access}"})
    # The header is the explicit one; one that is good for nothing counts as none, as with Better Auth. Never a mixture of both.
    assert both.json()["user"]["id"] == theirs.id == both.json()["session"]["userId"]
    fallen = mine.get("session", headers={"Authorization": "Bearer wrong"}).json()
    assert fallen["user"]["id"] == mine.user.id == fallen["session"]["userId"]
    assert service.get("/session", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_ses_13_what_a_device_says_of_itself(service):
    user = service.sign_up()
    for agent in ("<script>alert(1)</script>", "x" * 8_000, "\x1b[31mred", "a\u202eb"):
        answer = service.attempt(user.email, headers={"User-Agent": agent.encode()})
        if "\x1b" in agent:
            assert answer.status_code == 400, "no header holds a control character"
            continue
        assert answer.status_code == 200, agent
        fresh = answer.json()
        kept = next(s for s in user.get("/list-sessions").json() if s["id"] == service.who(fresh["accessToken"]).json()["session"]["id"])
        assert len(kept["userAgent"]) <= 256 and "\x1b" not in kept["userAgent"]
    listed = service.run("sessions", "list", "--user", user.email)
    assert "\x1b" not in listed.stdout


def test_ses_14_a_renewal_is_not_cached(own):
    place = own()
    browser = place.browser()
    place.kill()
    place.serve(clock=2 * 86_400)
    answer = browser.get("get-session")
    assert answer.headers.get_list("set-cookie") and answer.headers["cache-control"] == "no-store"


def test_ses_15_how_many_at_once_is_said(service):
    assert "as many sessions as" in document("docs", "threat-model.md")
    user = service.sign_up()
    for _ in range(5):
        service.sign_in(user.email)
    assert len(user.get("/list-sessions").json()) == 6


def test_ses_16_one_sees_where_and_hears_of_new_ones(own):
    place = own("mail.notify_new_sign_in=true")
    # Notices go to proven mailboxes only.
    assert place.run("users", "create", "ana@example.com", "--email-verified", stdin=PASSWORD + "\n").returncode == 0
    user = place.sign_in("ana@example.com")
    place.attempt(user.email, headers={"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"})
    assert {s["ipAddress"] for s in user.get("/list-sessions").json()} == {"127.0.0.1"} and "Firefox" in str(user.get("/list-sessions").json())
    assert "Firefox" in place.mail(user.email, NEW_SIGN_IN).get_body(("plain",)).get_content()
