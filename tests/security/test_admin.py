"""ADM: administration."""

import datetime
import uuid

import pytest
import yaml
from place import PASSWORD
from service import EVIL, NUMBERS, at_once, decode, document

ADMIN = [(m.upper(), p.removeprefix("/api/auth")) for p, o in yaml.safe_load(document("openapi.yaml"))["paths"].items() if "/admin/" in p for m in o if m in ("get", "post")]
# An impersonator may end the impersonation; every user may ask for their own permissions.
FOR_EVERYBODY = {"/admin/stop-impersonating", "/admin/has-permission"}


def form(path: str, target) -> dict:
    return {"userId": target.id, "sessionId": str(uuid.uuid4()), "sessionToken": str(uuid.uuid4()), "role": "user", "newPassword": "another good password", "email": f"adm{next(NUMBERS)}@example.com", "name": "x",
            "password": PASSWORD, "data": {"name": "y"}, "redirectTo": "/welcome", "permissions": {"user": ["list"]}}


@pytest.fixture(scope="module")
def boss(service):
    """An admin whom no test changes."""
    return service.admin()


def acting(admin, target) -> dict:
    """The header of a session in which the admin acts as the user."""
    answer = admin.post("/admin/impersonate-user", {"userId": target.id})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.headers['set-auth-token']}"}


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_adm_01_every_call_asks_who(service, boss, method, path):
    user = service.sign_up()
    def call(headers):
        target = service.sign_up()
        query = {"id": target.id, "userId": target.id}
        return service.ask(method, path, headers=headers, **({"params": query} if method == "GET" else {"json": form(path, target)})).status_code
    # Only who acts as a user ends that.
    assert call(acting(boss, service.sign_up()) if path == "/admin/stop-impersonating" else boss.bearer) == 200
    assert call({}) == 401
    if path not in FOR_EVERYBODY:
        assert call(user.bearer) == 403
    assert call({"Authorization": f"Bearer {user.access}"}) == 401


def test_adm_02_the_row_at_each_call(service):
    admin = service.admin()
    service.admin()
    assert admin.get("/admin/list-users").status_code == 200
    service.do("users", "set-role", admin.email, "user")
    assert admin.get("/admin/list-users").status_code == 403
    # An access token never opens these, whatever it says of its user; elsewhere it is good.
    assert service.get("/session", headers={"Authorization": f"Bearer {admin.access}"}).status_code == 200
    assert service.get("/admin/list-users", headers={"Authorization": f"Bearer {admin.access}"}).status_code == 401


def test_adm_03_no_user_reaches_another(service):
    theirs = service.sign_up()
    session = theirs.get("/list-sessions").json()[0]["id"]
    before = theirs.get("/session").json()
    # What everyone may do to oneself, and what comes of it; a session has no fields that a client could change.
    mine = {"/update-user": {"name": "renamed"}, "/change-password": {"currentPassword": PASSWORD, "newPassword": "another good password"}, "/change-email": {"newEmail": f"adm{next(NUMBERS)}@example.com"},
            "/delete-user": {"password": PASSWORD}, "/verify-password": {"password": PASSWORD}, "/revoke-other-sessions": {}, "/revoke-sessions": {}}
    for path, body in mine.items():
        assert service.sign_up().post(path, body).status_code == 200, path
    one = service.sign_up()
    assert one.post("/revoke-session", {"token": one.get("/list-sessions").json()[0]["id"]}).status_code == 200 and not one.is_in()
    for path, body in {"/revoke-session": {"token": session}, "/update-user": {"id": theirs.id, "userId": theirs.id, "name": "stolen"}, "/update-session": {"id": session, "sessionId": session, "theme": "x"},
                       "/change-password": {"userId": theirs.id, "currentPassword": PASSWORD, "newPassword": "another good password"}, "/change-email": {"userId": theirs.id, "newEmail": "x@example.com"},
                       "/delete-user": {"userId": theirs.id}, "/verify-password": {"userId": theirs.id, "password": PASSWORD}, "/revoke-sessions": {"userId": theirs.id}, "/revoke-other-sessions": {"userId": theirs.id}}.items():
        service.sign_up().post(path, body)
        assert theirs.get("/session").json() == before, path
    for path in ("/list-sessions", "/list-accounts", "/session", "/get-session"):
        assert theirs.id not in service.sign_up().get(path, params={"userId": theirs.id, "id": theirs.id}).text
    assert service.sign_in(theirs.email).id == theirs.id


# All that a role can hold but being an admin.
EVERY_RIGHT = ["user:create", "user:list", "user:get", "user:update", "user:set-role", "user:set-email", "user:set-email-verified", "user:set-metadata", "user:ban", "user:delete", "user:set-password",
               "user:impersonate", "user:impersonate-admins", "session:list", "session:revoke"]


@pytest.fixture(scope="module")
def support(tmp_path_factory):
    """A service with a role that may look and rename, and no more."""
    from service import Service

    place = Service(tmp_path_factory.mktemp("support"), ["mail.transport=file"])
    (place.folder / "countersign.toml").write_text('[roles]\nsupport = ["user:list", "user:get", "user:update", "user:impersonate"]\nbanner = ["user:ban", "user:set-role"]\n' f"deputy = {EVERY_RIGHT}\n" 'resetter = ["user:update", "user:set-email", "user:set-password"]\n')
    place.serve()
    yield place
    place.stop()


def test_adm_04_each_right_by_itself(support):
    admin, helper, target = support.admin(), support.admin("support"), support.sign_up()
    assert helper.post("/admin/update-user", {"userId": target.id, "data": {"name": "renamed"}}).status_code == 200
    # 403 if a permission is missing that an admin has, 400 if no caller may write the field by this call.
    for data, of_admin, of_helper in (({"role": "admin"}, 200, 403), ({"email": f"adm{next(NUMBERS)}@example.com"}, 200, 403), ({"banned": True}, 200, 403), ({"emailVerified": True}, 200, 403), ({"password": "x" * 12}, 400, 400),
                                      ({"id": "x"}, 400, 400)):
        assert admin.post("/admin/update-user", {"userId": support.sign_up().id, "data": data}).status_code == of_admin, data
        assert helper.post("/admin/update-user", {"userId": target.id, "data": data}).status_code == of_helper, data
    for path in ("set-role", "ban-user", "remove-user", "set-user-password", "create-user", "revoke-user-sessions"):
        assert admin.post(f"/admin/{path}", form(path, support.sign_up())).status_code == 200, path
        assert helper.post(f"/admin/{path}", form(path, target)).status_code == 403, path


def test_adm_05_no_role_reaches_above_itself(support):
    admin, helper, banner, deputy = support.admin(), support.admin("support"), support.admin("banner"), support.admin("deputy")

    def calls(target) -> list[tuple[str, dict]]:
        """Everything that is done to a user; what deletes comes last."""
        data = [{"name": "x"}, {"image": "https://example.com/x.png"}, {"metadata": {"x": 1}}, {"emailVerified": True}, {"email": f"adm{next(NUMBERS)}@example.com"}]
        changes = [("update-user", {"data": one}) for one in data]
        others = ["set-role", "set-user-password", "ban-user", "unban-user", "impersonate-user", "revoke-user-sessions", "remove-user"]
        return [(path, {**body, "userId": target.id}) for path, body in [*changes, *((path, form(path, target)) for path in others)]]

    def row(user):
        return support.rows("SELECT name, image, metadata, email, email_verified, role, banned, session_epoch, version FROM users WHERE id = ?", user.id)

    # A role that holds every right but is not the admin's changes any user and no admin. It may act as one, for it holds that right, with its own rights alone.
    before = row(admin)
    for path, body in calls(admin):
        if path == "impersonate-user":
            acting = {"Authorization": f"Bearer {deputy.post(f'/admin/{path}', body).headers['set-auth-token']}"}
            assert support.get("/session", headers=acting).json()["user"]["id"] == admin.id and support.get("/admin/audit", headers=acting).status_code == 403
            continue
        answer = deputy.post(f"/admin/{path}", body)
        assert answer.status_code == 403 and row(admin) == before, (path, body, answer.text)
    assert admin.is_in() and support.sign_in(admin.email).get("/admin/list-users").status_code == 200
    for path, body in calls(support.sign_up()):
        answer = deputy.post(f"/admin/{path}", body)
        assert answer.status_code == 200, (path, body, answer.text)
    # No caller takes over the account of a user who holds more, admin or not.
    stronger, weaker, resetter = support.admin("deputy"), support.sign_up(), support.admin("resetter")
    for above in (stronger, admin):
        assert helper.post("/admin/impersonate-user", {"userId": above.id}).status_code == 403
    for path, body in (("set-user-password", {"newPassword": "another good password"}), ("update-user", {"data": {"email": f"adm{next(NUMBERS)}@example.com"}})):
        statuses = [resetter.post(f"/admin/{path}", {"userId": user.id, **body}).status_code for user in (stronger, admin, weaker)]
        assert statuses == [403, 403, 200], (path, statuses)
    # No caller gives what they do not hold, to themselves least of all.
    target = support.sign_up()
    for giver, roles in ((banner, ("admin", "support", "deputy", "user,admin")), (deputy, ("admin", "user,admin"))):
        for role in roles:
            for whom in (giver, target):
                answer = giver.post("/admin/set-role", {"userId": whom.id, "role": role})
                assert answer.status_code == 403, (role, answer.text)
    assert deputy.post("/admin/create-user", {"email": f"adm{next(NUMBERS)}@example.com", "name": "x", "password": PASSWORD, "role": "admin"}).status_code == 403
    assert banner.post("/admin/set-role", {"userId": target.id, "role": "banner"}).status_code == 200
    # One admin takes no other admin's account over without the right to act as admins.
    peer = support.admin()
    before = row(peer)
    for path, body in (("set-user-password", {"newPassword": "another good password"}), ("update-user", {"data": {"email": "taken@example.com"}}), ("impersonate-user", {})):
        assert admin.post(f"/admin/{path}", {"userId": peer.id, **body}).status_code == 403 and row(peer) == before, path
    assert admin.post("/admin/update-user", {"userId": peer.id, "data": {"name": "x"}}).status_code == 200


def test_adm_06_the_last_admin_stays(own):
    place = own()
    one, two, spare = place.admin(), place.admin(), place.admin()
    # One of several admins may be demoted and deleted, and one may ban others.
    assert one.post("/admin/ban-user", {"userId": place.sign_up().id}).status_code == 200
    place.do("users", "set-role", spare.email, "user")
    place.do("users", "delete", spare.email, "--yes")
    assert one.post("/admin/ban-user", {"userId": one.id}).status_code == 400
    pairs = iter([(one, two), (two, one)] * 2)
    at_once(lambda: (lambda p: p[0].post("/admin/set-role", {"userId": p[1].id, "role": "user"}).status_code)(next(pairs)), 4)
    assert place.rows("SELECT COUNT(*) FROM users WHERE role = 'admin'")[0][0] >= 1
    left = place.rows("SELECT email FROM users WHERE role = 'admin'")[0][0]
    if place.rows("SELECT COUNT(*) FROM users WHERE role = 'admin'")[0][0] > 1:
        place.do("users", "set-role", (one if left != one.email else two).email, "user")
    assert place.run("users", "set-role", left, "user").returncode == 1 and place.run("users", "delete", left, "--yes").returncode == 1


def test_adm_07_unknown_roles(service):
    admin, target = service.admin(), service.sign_up()
    for role in ("user", "admin", ["user", "admin"], ["user"]):
        assert admin.post("/admin/set-role", {"userId": target.id, "role": role}).status_code == 200, role
    for role in ("ADMIN", " admin", "admin ", "root", "user,,admin", "*", [], ["unknown"], 5, None, "a" * 100):
        answer = admin.post("/admin/set-role", {"userId": target.id, "role": role})
        assert answer.status_code == 400, (role, answer.text)
    assert decode(service.sign_in(target.email).access)[1]["roles"] == ["user"]


def test_adm_08_the_first_comes_from_the_shell(own):
    place = own()
    assert place.rows("SELECT COUNT(*) FROM users") == [(0,)], "no account of ours"
    assert decode(place.sign_up().access)[1]["roles"] == ["user"]


def test_adm_09_shut_out_on_every_path(service):
    admin = service.admin()
    for how in ({"banReason": "x"}, {"banReason": "x", "banExpiresIn": 3600}):
        user = service.sign_up()
        token = service.reset_token(user.email)
        assert user.is_in() and service.who(user.access).status_code == 200 and service.rotate(service.sign_in(user.email).refresh).status_code == 200
        assert admin.post("/admin/ban-user", {"userId": user.id, **how}).status_code == 200
        assert not user.is_in() and service.rotate(user.refresh).status_code == 401 and service.who(user.access).status_code == 401
        assert service.attempt(user.email).json()["code"] == "BANNED_USER"
        service.post("/reset-password", {"token": token, "newPassword": "another good password"})
        assert service.attempt(user.email, "another good password").status_code == 403


def test_adm_10_no_secret_is_readable(service):
    admin, user = service.admin(), service.sign_up()
    shown = [admin.get("/admin/list-users", params={"limit": 1000}), admin.get("/admin/get-user", params={"id": user.id}), admin.post("/admin/list-user-sessions", {"userId": user.id}), admin.get("/admin/audit")]
    for answer in shown:
        assert answer.status_code == 200 and not any(word in answer.text for word in ("$argon2", "password_hash", "csr_", "css_", user.token, user.refresh))
    assert not any(word in service.run("users", "show", user.email, "--output", "json").stdout for word in ("$argon2", "hash"))


def test_adm_11_the_caller_is_the_credential_s(service):
    user, victim = service.sign_up(), service.admin()
    assert victim.post("/admin/has-permission", {"permissions": {"user": ["list"]}}).json()["success"] is True and user.post("/update-user", {"name": "x"}).status_code == 200
    assert service.post("/admin/has-permission", {"userId": victim.id, "permissions": {"user": ["list"]}}).status_code == 401
    assert user.post("/admin/has-permission", {"userId": victim.id, "permissions": {"user": ["list"]}}).json()["success"] is False
    assert service.post("/update-user", {"userId": victim.id, "name": "x"}).status_code == 401


def test_adm_12_destruction_wants_a_fresh_sign_in(own):
    place = own()
    admin, target = place.admin(), place.sign_up()
    destroys = ("remove-user", "set-user-password", "set-role", "ban-user", "impersonate-user", "revoke-user-sessions", "create-user", "update-user")
    for path in destroys:
        assert admin.post(f"/admin/{path}", form(path, place.sign_up())).status_code == 200, path
    place.kill()
    place.serve(clock=2 * 86_400)
    assert admin.get("/admin/list-users").status_code == 200
    for path in destroys:
        assert admin.post(f"/admin/{path}", form(path, target)).json()["code"] == "SESSION_NOT_FRESH", path
    fresh = place.sign_in(admin.email)
    assert fresh.post("/admin/remove-user", {"userId": target.id}).status_code == 200
    lax = own("policies.admin.fresh_for=30d")
    admin, target = lax.admin(), lax.sign_up()
    lax.kill()
    lax.serve(clock=2 * 86_400)
    assert admin.post("/admin/remove-user", {"userId": target.id}).status_code == 200


def test_adm_13_who_acts_as_another(service):
    admin, target, peer = service.admin(), service.sign_up(), service.admin()

    def begin(who):
        answer = who.post("/admin/impersonate-user", {"userId": target.id})
        assert answer.status_code == 200, answer.text
        return answer.json()["session"], {"Authorization": f"Bearer {answer.headers['set-auth-token']}"}

    session, acting = begin(admin)
    assert admin.post("/admin/impersonate-user", {"userId": peer.id}).json()["code"] == "YOU_CANNOT_IMPERSONATE_ADMINS"
    assert service.sign_up().post("/admin/impersonate-user", {"userId": target.id}).status_code == 403
    assert service.get("/session", headers=acting).json()["user"]["id"] == target.id
    # Marked everywhere: in the session, in the list that admins see, in every access token, in the trail; for an hour.
    assert session["impersonatedBy"] == admin.id
    listed = peer.post("/admin/list-user-sessions", {"userId": target.id}).json()["sessions"]
    assert [s["impersonatedBy"] for s in listed if s["id"] == session["id"]] == [admin.id]
    claims = decode(service.get("/token", headers=acting).json()["token"])[1]
    assert claims["sub"] == target.id and claims["act"] == {"sub": admin.id}
    lasts = datetime.datetime.fromisoformat(session["expiresAt"]) - datetime.datetime.now(datetime.UTC)
    assert 3_500 < lasts.total_seconds() <= 3_600
    started = [e for e in service.audit("impersonation.started", target.id) if e["detail"]["admin"] == admin.id]
    assert len(started) == 1, "said once"
    # What is the user's own stays so, whatever is known of it; the rights are those that both have.
    own = {"/change-password": {"currentPassword": PASSWORD, "newPassword": "another good password"}, "/change-email": {"newEmail": f"adm{next(NUMBERS)}@example.com"}, "/delete-user": {"password": PASSWORD}}
    for path, body in own.items():
        answer = service.post(path, body, headers=acting)
        assert answer.status_code == 403, (path, answer.text)
    for path in ("/admin/list-users", "/admin/audit"):
        assert admin.get(path).status_code == 200 and service.get(path, headers=acting).status_code == 403, path
    assert service.post("/admin/impersonate-user", {"userId": service.sign_up().id}, headers=acting).status_code == 403, "nor on to a third"
    assert service.attempt(target.email).status_code == 200 and service.get("/session", headers=acting).status_code == 200, "nothing of that was done"
    # Looked at again at each request: the row alone says that the admin is none any more.
    service.rows("UPDATE users SET role = 'user' WHERE id = ?", admin.id)
    assert service.get("/session", headers=acting).status_code == 401
    service.rows("UPDATE users SET role = 'admin' WHERE id = ?", admin.id)
    assert service.get("/session", headers=acting).status_code == 401, "it has ended"
    # And it ends with the word of the admin.
    _, again = begin(peer)
    assert service.post("/admin/stop-impersonating", {}, headers=again).status_code == 200
    assert service.get("/session", headers=again).status_code == 401 and service.audit("impersonation.stopped", target.id)
    # What was refused was no mistake of the request: the user does it.
    user = service.sign_in(target.email)
    assert user.post("/change-email", own["/change-email"]).status_code == 200
    assert user.post("/change-password", own["/change-password"]).status_code == 200
    assert user.post("/delete-user", {"password": own["/change-password"]["newPassword"]}).status_code == 200


def test_adm_14_gone_for_good(own):
    place = own()
    admin, user = place.admin(), place.sign_up()
    assert user.is_in() and place.who(user.access).status_code == 200 and place.rotate(place.sign_in(user.email).refresh).status_code == 200
    assert admin.post("/admin/remove-user", {"userId": user.id}).status_code == 200
    assert not user.is_in() and place.rotate(user.refresh).status_code == 401 and place.who(user.access).status_code == 401
    for table in ("sessions", "accounts", "mails"):
        columns = [c[1] for c in place.rows(f"PRAGMA table_info({table})")]
        assert not place.rows(f"SELECT * FROM {table} WHERE user_id = ?", user.id) if "user_id" in columns else True
    assert [e for e in place.audit("user.") if e["subject"] == user.id], "the trail keeps the id"
    again = place.sign_up(user.email)
    assert again.id != user.id and len(again.get("/list-sessions").json()) == 1


def test_adm_15_admins_in_browsers(service):
    admin = service.admin()
    browser = service.browser(admin.email)
    target = service.sign_up()
    assert browser.post("admin/remove-user", json={"userId": service.sign_up().id}).status_code == 200
    assert browser.post("admin/remove-user", json={"userId": target.id}, headers={"Origin": EVIL}).status_code == 403
    assert target.is_in()


def test_adm_16_a_list_is_for_who_may_list(support):
    helper, banner = support.admin("support"), support.admin("banner")
    assert helper.get("/admin/list-users").json()["total"] >= 1 and support.admin().get("/admin/audit").status_code == 200
    for path, more in (("/admin/list-users", {}), ("/admin/audit", {})):
        answer = banner.get(path, **more)
        assert answer.status_code == 403 and "total" not in answer.text
    assert helper.get("/admin/audit").status_code == 403


def test_adm_17_exports_are_json_lines(service):
    import json

    service.sign_up(name="=cmd()|' /C calc'!A0")
    lines = service.run("audit", "export").stdout.splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


def test_adm_18_who_may_what_is_written_down():
    settings = document("docs", "settings.md")
    for permission in ("user:create", "user:list", "user:get", "user:update", "user:set-role", "user:set-email", "user:ban", "user:delete", "user:set-password", "user:impersonate", "session:list", "session:revoke"):
        assert f"`{permission}`" in settings, permission


def test_adm_19_everybody_s_sessions_want_a_word(own):
    place = own()
    user = place.sign_up()
    for command in (["sessions", "revoke", "--all", "--dry-run"], ["users", "delete", user.email, "--dry-run"]):
        assert place.run(*command).returncode == 0 and user.is_in(), command
    place.do("sessions", "revoke", "--all", "--yes")
    assert not user.is_in()
