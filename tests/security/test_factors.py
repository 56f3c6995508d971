"""MFA: second factors."""

import base64
import re
import sqlite3

import httpx
from phone import Phone, begun, code_of, confirm, enrolled, is_pending, recover, second, turned_on
from place import PASSWORD, wait_for
from service import EVIL, REFRESH_COOKIE, SESSION_COOKIE, at_once, decode
from test_admin import acting

WRONG_CODE, WRONG_RECOVERY = (401, "INVALID_CODE"), (401, "INVALID_BACKUP_CODE")
OVER, SPENT, STALE = (401, "INVALID_TWO_FACTOR_COOKIE"), (400, "TOO_MANY_ATTEMPTS_REQUEST_NEW_CODE"), (403, "SESSION_NOT_FRESH")
NEW_PASSWORD = "another good password"


def browser(service) -> httpx.Client:
    return httpx.Client(base_url=service.base, headers={"Origin": service.issuer}, timeout=30)


def is_signed_in(client: httpx.Client) -> bool:
    return client.get("/api/auth/get-session").json() is not None or client.post("/api/auth/refresh", json={"optional": True}).json() is not None


def csrf(client: httpx.Client) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', client.get("/auth/account").text)[1]


def test_mfa_01_a_password_alone_opens_nothing(service):
    user, phone = enrolled(service)
    account = {"email": user.email, "password": user.password}
    # The API with tokens in the body: the secret of the pending sign-in is a credential nowhere else.
    challenge = begun(user)
    for token in (challenge, f"Bearer {challenge}"):
        assert service.who(token).status_code == 401 and service.rotate(token).status_code == 401
    for path in ("get-session", "token", "list-sessions"):
        assert "token" not in service.get(f"/{path}", headers={"Authorization": f"Bearer {challenge}"}, cookies={SESSION_COOKIE: challenge, REFRESH_COOKIE: challenge}).text
    assert service.post("/change-password", {"currentPassword": user.password, "newPassword": NEW_PASSWORD}, headers={"Authorization": f"Bearer {challenge}"}).status_code == 401
    # The API with cookies, as JSON and as a form; whatever else is asked for.
    for body in ({"json": account}, {"data": account}, {"json": {**account, "callbackURL": "/welcome", "rememberMe": False, "refreshRetry": "ticket"}}):
        client = browser(service)
        assert is_pending(client.post("/api/auth/sign-in/email", **body)) and not is_signed_in(client), body
    assert client.post("/api/auth/two-factor/verify-totp", json={"code": phone.code()}).status_code == 200 and is_signed_in(client)
    # The page.
    client = browser(service)
    led = client.post("/auth/sign-in", data={**account, "redirect_to": "/auth/account"})
    assert led.status_code == 303 and led.headers["location"].startswith("/auth/challenge") and not is_signed_in(client)
    assert client.get("/auth/account").status_code == 303
    assert client.post("/auth/challenge", data={"code": phone.wrong()}).status_code == 401 and not is_signed_in(client)
    assert client.post("/auth/challenge", data={"code": phone.code()}).status_code == 303 and is_signed_in(client)


def test_mfa_02_a_code_is_good_once(service):
    user, phone = enrolled(service)
    used = phone.at(phone.last)
    assert code_of(second(service, begun(user), used)) == WRONG_CODE, "it has confirmed the app"
    challenges, code = [begun(user) for _ in range(12)], phone.code()
    answers = at_once(lambda: second(service, challenges.pop(), code), 12)
    assert sorted(a.status_code for a in answers) == [200] + [401] * 11
    assert code_of(second(service, begun(user), code)) == WRONG_CODE
    # In a session as well, and what was shown before a code that was used is over with it.
    assert code_of(user.post("/two-factor/verify-totp", {"code": code})) == WRONG_CODE and user.is_in()
    skipped, later = phone.at(phone.step() - 1), phone.code()
    assert second(service, begun(user), later).status_code == 200
    assert code_of(second(service, begun(user), skipped)) == WRONG_CODE


def test_mfa_03_a_recovery_code_is_good_once(service):
    user, phone = enrolled(service)
    code = phone.recovery[0]
    assert len(set(phone.recovery)) == 10 and all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}", c) for c in phone.recovery)
    challenges = [begun(user) for _ in range(12)]
    answers = at_once(lambda: recover(service, challenges.pop(), code), 12)
    assert sorted(a.status_code for a in answers) == [200] + [401] * 11
    for spelling in (code, code.lower(), code.replace("-", ""), f" {code} "):
        assert code_of(recover(service, begun(user), spelling)) == WRONG_RECOVERY
    # It is no code of the app and the other way round, and new ones end all that are left.
    assert code_of(second(service, begun(user), phone.recovery[1])) == WRONG_CODE
    assert code_of(recover(service, begun(user), phone.code())) == WRONG_RECOVERY
    renewed = user.post("/two-factor/generate-backup-codes", {"password": user.password}).json()["backupCodes"]
    assert code_of(recover(service, begun(user), phone.recovery[2])) == WRONG_RECOVERY
    assert recover(service, begun(user), renewed[0].lower().replace("-", " ")).status_code == 200


def test_mfa_04_five_tries(service):
    user, phone = enrolled(service)
    challenge, wrong, good = begun(user), phone.wrong(), phone.code()
    assert [code_of(second(service, challenge, wrong)) for _ in range(3)] == [WRONG_CODE] * 3
    assert [code_of(recover(service, challenge, "0000-0000-0000-0000")) for _ in range(2)] == [WRONG_RECOVERY] * 2
    assert code_of(second(service, challenge, good)) == SPENT and code_of(recover(service, challenge, phone.recovery[0])) == SPENT
    # Many at once are no more than five; the codes that came too late are not used up.
    challenge = begun(user)
    answers = at_once(lambda: second(service, challenge, wrong))
    assert sum(code_of(a) == WRONG_CODE for a in answers) == 5 and {code_of(a) for a in answers} <= {WRONG_CODE, SPENT, OVER}
    assert second(service, begun(user), good).status_code == 200 and recover(service, begun(user), phone.recovery[0]).status_code == 200


def test_mfa_05_a_pending_sign_in_is_of_one_user_and_good_once(service):
    (ana, phone), (bo, other) = enrolled(service), enrolled(service)
    challenge = begun(ana)
    assert code_of(second(service, challenge, other.code())) == WRONG_CODE
    assert code_of(recover(service, challenge, other.recovery[0])) == WRONG_RECOVERY
    assert recover(service, begun(bo), other.recovery[0]).status_code == 200, "nothing of the other user was used up"
    done = second(service, challenge, phone.code())
    assert done.status_code == 200 and done.json()["user"]["id"] == ana.id
    assert code_of(recover(service, challenge, phone.recovery[0])) == OVER
    # Beside the session of another user, in a browser, a code is that of the session.
    assert code_of(bo.post("/two-factor/verify-backup-code", {"code": phone.recovery[0]})) == WRONG_RECOVERY
    flipped = challenge[:-1] + ("A" if challenge[-1] != "A" else "Q")
    for made_up in (flipped, challenge[:-1], challenge + "A", "", "x", ana.token, ana.access, ana.refresh):
        assert code_of(recover(service, made_up, phone.recovery[0])) in (OVER, (400, "VALIDATION_ERROR")), made_up
    assert code_of(service.post("/two-factor/verify-totp", {"code": phone.wrong()})) == OVER


def test_mfa_06_a_pending_sign_in_ends(service, own):
    for change in ("password", "mail", "shell", "address", "factor", "ban"):
        user, phone = enrolled(service)
        challenge = begun(user)
        if change == "password":
            assert user.post("/change-password", {"currentPassword": user.password, "newPassword": NEW_PASSWORD}).status_code == 200
        elif change == "mail":
            assert service.post("/reset-password", {"token": service.reset_token(user.email), "newPassword": NEW_PASSWORD}).status_code == 200
        elif change == "shell":
            assert service.run("users", "set-password", user.email, stdin=f"{NEW_PASSWORD}\n").returncode == 0
        elif change == "address":
            service.do("users", "update", user.email, "--email", "other" + user.email)
        elif change == "factor":
            assert user.post("/two-factor/disable", {"password": user.password}).status_code == 200
        else:
            service.do("users", "ban", user.email, "--yes")
        for answer in (second(service, challenge, phone.code()), recover(service, challenge, phone.recovery[0])):
            assert answer.status_code in (400, 401, 403) and "token" not in answer.json(), (change, answer.text)
    place = own()
    user, phone = enrolled(place)
    challenges = [begun(user) for _ in range(2)]
    assert second(place, challenges[0], phone.code()).status_code == 200
    place.kill()
    place.serve(clock=601)
    assert code_of(recover(place, challenges[1], phone.recovery[0])) == OVER, "it lasts ten minutes"


def test_mfa_07_a_remembered_device_is_of_one_user_and_ends(service):
    (ana, phone), (bo, other) = enrolled(service), enrolled(service)
    answers = [second(service, begun(ana), phone.code(), trustDevice=True), second(service, begun(bo), other.code(), trustDevice=True)]
    trusted, foreign = (answer.json()["trustedDeviceToken"] for answer in answers)
    asked = lambda token, password=PASSWORD: is_pending(service.attempt(ana.email, password, trustedDeviceToken=token))
    assert not asked(trusted) and asked(foreign)
    for made_up in (trusted[:-1], trusted.replace(ana.id, bo.id), foreign.replace(bo.id, ana.id), answers[0].json()["deviceToken"], "x"):
        assert made_up == trusted or asked(made_up), made_up
    # It stands for the second step alone: without the right password it is nothing, and it is no credential.
    assert service.attempt(ana.email, "a wrong password", trustedDeviceToken=trusted).status_code == 401 and service.who(trusted).status_code == 401
    assert ana.post("/change-password", {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}).status_code == 200
    assert asked(trusted, NEW_PASSWORD)
    # In a browser as well; a factor that was made anew asks again.
    client = browser(service)
    client.post("/api/auth/sign-in/email", json={"email": bo.email, "password": PASSWORD})
    assert client.post("/api/auth/two-factor/verify-backup-code", json={"code": other.recovery[0], "trustDevice": True}).status_code == 200
    again = lambda: is_pending(client.post("/api/auth/sign-in/email", json={"email": bo.email, "password": PASSWORD}))
    assert not again()
    service.do("users", "reset-factors", bo.email, "--yes")
    turned_on(service.sign_in(bo.email))
    assert again()


def test_mfa_08_sealed_at_rest(service):
    user, phone = enrolled(service)
    challenge = begun(user)
    begun(user)
    trusted = recover(service, begun(user), phone.recovery[9], trustDevice=True).json()["trustedDeviceToken"]
    files = [path for path in service.kept().parent.glob("countersign.db*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files)
    assert user.id.encode() in kept, "what is kept of the user is found"
    raw = base64.b32decode(phone.secret)
    for secret in (phone.secret.encode(), phone.secret.lower().encode(), raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"="), challenge.encode(), trusted.encode()):
        assert secret not in kept
    for code in phone.recovery:
        assert code.encode() not in kept and code.replace("-", "").encode() not in kept
    log = service.log()
    assert user.id in log and not any(secret in log for secret in (phone.secret, challenge, trusted, *phone.recovery, *(c.replace("-", "") for c in phone.recovery)))
    # Sealed for the row of its user: pasted into that of another it opens nothing, and counts as neither right nor wrong.
    other, _ = enrolled(service)
    with sqlite3.connect(service.kept(), timeout=10) as database:
        database.execute("UPDATE totp SET secret_jwe = (SELECT secret_jwe FROM totp WHERE user_id = ?) WHERE user_id = ?", (user.id, other.id))
    assert second(service, begun(other), phone.code()).status_code == 503


def test_mfa_09_the_secret_is_shown_until_it_is_confirmed(service):
    user = service.sign_up()
    ask = lambda path, password=PASSWORD: user.post(f"/two-factor/{path}", {"password": password})
    assert code_of(ask("enable", "a wrong password")) == (400, "INVALID_PASSWORD") and code_of(ask("get-totp-uri")) == (400, "TOTP_NOT_ENABLED")
    enrolment = ask("enable").json()
    phone = Phone(enrolment)
    assert len(base64.b32decode(phone.secret)) >= 20, "as long as RFC 4226 recommends"
    assert ask("get-totp-uri").json()["totpURI"] == enrolment["totpURI"] and code_of(ask("get-totp-uri", "a wrong password")) == (400, "INVALID_PASSWORD")
    assert not is_pending(service.attempt(user.email)), "nothing is asked for that was not confirmed"
    assert code_of(user.post("/two-factor/verify-totp", {"code": phone.wrong()})) == WRONG_CODE
    confirm(user, phone)
    assert code_of(ask("get-totp-uri")) == code_of(ask("enable")) == (400, "TOTP_ALREADY_ENABLED")
    client = browser(service)
    client.post("/api/auth/sign-in/email", json={"email": user.email, "password": PASSWORD})
    client.post("/api/auth/two-factor/verify-totp", json={"code": phone.code()})
    pages = [client.get(path) for path in ("/auth/account", "/auth/account/security", "/api/auth/get-session")]
    assert [page.status_code for page in pages] == [200] * 3
    spaced = " ".join(phone.secret[n:n + 4] for n in range(0, len(phone.secret), 4))
    assert not any(secret in page.text for page in pages for secret in (phone.secret, spaced, *phone.recovery))


def test_mfa_10_who_acts_as_another_touches_no_factor(service):
    (user, phone), admin = enrolled(service), service.admin()
    plain = service.sign_up()
    for target in (user, plain):
        headers = acting(admin, target)
        assert service.get("/get-session", headers=headers).json()["user"]["id"] == target.id
        for path, body in (("enable", {"password": PASSWORD}), ("get-totp-uri", {"password": PASSWORD}), ("generate-backup-codes", {"password": PASSWORD}), ("disable", {"password": PASSWORD}),
                           ("verify-totp", {"code": phone.at(phone.step() + 1)}), ("verify-backup-code", {"code": phone.recovery[0]})):
            answer = service.post(f"/two-factor/{path}", body, headers=headers)
            assert code_of(answer) == (403, "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS"), path
    assert user.is_in() and is_pending(service.attempt(user.email)) and recover(service, begun(user), phone.recovery[0]).status_code == 200
    assert not is_pending(service.attempt(plain.email))


def test_mfa_11_a_new_password_removes_no_factor(service):
    user, phone = enrolled(service)
    # A mailbox that was never verified is another matter: its owner takes the account over (ENU-10).
    service.do("users", "update", user.email, "--email-verified", "true")
    trusted = second(service, begun(user), phone.code(), trustDevice=True).json()["trustedDeviceToken"]
    assert service.post("/reset-password", {"token": service.reset_token(user.email), "newPassword": NEW_PASSWORD}).status_code == 200
    user.password = NEW_PASSWORD
    assert not user.is_in() and is_pending(service.attempt(user.email, NEW_PASSWORD, trustedDeviceToken=trusted))
    # By the page of the mail: it leads to no session.
    client = browser(service)
    form = {"token": service.reset_token(user.email), "password": PASSWORD, "again": PASSWORD}
    assert client.post("/auth/reset-password", data=form).status_code == 303 and not is_signed_in(client)
    user.password = PASSWORD
    assert second(service, begun(user), phone.code()).status_code == 200
    # By an operator.
    assert service.run("users", "set-password", user.email, stdin=f"{NEW_PASSWORD}\n").returncode == 0
    user.password = NEW_PASSWORD
    assert recover(service, begun(user), phone.recovery[0]).status_code == 200


def test_mfa_12_a_change_wants_a_fresh_proof(own):
    place = own()
    user, phone = enrolled(place)
    trusted = second(place, begun(user), phone.code(), trustDevice=True).json()["trustedDeviceToken"]
    # On a remembered device a session begins by the password alone.
    there = place.sign_in(user.email, trustedDeviceToken=trusted)
    change = lambda user, path, password=PASSWORD: user.post(f"/two-factor/{path}", {"password": password})
    for path in ("disable", "generate-backup-codes"):
        assert code_of(change(there, path)) == STALE
        assert code_of(change(user, path, "a wrong password")) == (400, "INVALID_PASSWORD"), "the proof alone is not enough either"
    client = browser(place)
    client.cookies.set(SESSION_COOKIE.replace("session_token", "trust_device"), trusted, domain="127.0.0.1")
    assert not is_pending(client.post("/api/auth/sign-in/email", json={"email": user.email, "password": PASSWORD}))
    at_the_page = lambda action: client.post(f"/auth/account/security/{action}", data={"csrf": csrf(client), "current": PASSWORD}).status_code
    assert [at_the_page("turn-off"), at_the_page("codes")] == [403, 403]
    assert is_pending(place.attempt(user.email)) and recover(place, begun(user), phone.recovery[0]).status_code == 200, "nothing was changed"
    assert client.post("/api/auth/two-factor/verify-backup-code", json={"code": phone.recovery[1]}).status_code == 200
    assert at_the_page("codes") == 200 and code_of(recover(place, begun(user), phone.recovery[2])) == WRONG_RECOVERY
    # Ten minutes after it a proof is too old; the password proves the factor no more than before.
    place.kill()
    place.serve(clock=601)
    phone.ahead = 601
    assert code_of(change(user, "disable")) == STALE
    before = dict(user.answer)
    confirm(user, phone)
    assert place.who(before["token"]).status_code == 401, "another session takes its place"
    assert change(user, "generate-backup-codes").status_code == 200
    assert change(user, "disable").status_code == 200 and not is_pending(place.attempt(user.email))


def test_mfa_13_wrong_codes_wait_and_lock_no_owner_out(own):
    place = own("rate_limits.enabled=true", "rate_limits.sign_in_success=off", "server.trusted_proxies=127.0.0.1")
    user, phone = enrolled(place)
    device = second(place, begun(user), phone.code()).json()["deviceToken"]
    wrong, good = phone.wrong(), phone.code()

    def guess(ip: str, code: str = wrong, challenge: str | None = None, **more):
        headers = {"X-Forwarded-For": ip}
        return second(place, challenge or begun(user, headers=headers, **more), code, headers=headers, **more)

    # From one network five are free, however many sign-ins they are of. Side by side, for each refusal comes a second late.
    challenges = [begun(user) for _ in range(15)]
    assert sorted(a.status_code for a in at_once(lambda: guess("203.0.113.9", challenge=challenges.pop()), 15)) == [401] * 5 + [429] * 10
    # From everywhere together they wait as well.
    networks, challenges = [f"198.51.{n}.1" for n in range(30)], [begun(user) for _ in range(30)]
    answers = [a.status_code for a in at_once(lambda: guess(networks.pop(), challenge=challenges.pop()), 30)]
    assert answers.count(401) == 15 and answers.count(429) == 15
    # Right and wrong wait alike: a right one is not looked at, and not used up.
    with sqlite3.connect(place.kept(), timeout=10) as database:
        database.execute("UPDATE rate_limits SET level = level + 12 WHERE key LIKE 'second-factor-account:%'")
    wait_for(lambda: guess("192.0.2.6").status_code == 401)
    waits = guess("192.0.2.7", good)
    assert waits.status_code == 429 and int(waits.headers["retry-after"]) > 60
    # A device that has signed in to the account before does not wait, whatever others have tried.
    with sqlite3.connect(place.kept(), timeout=10) as database:
        database.execute("UPDATE totp SET failures = 1000 WHERE user_id = ?", (user.id,))
    assert guess("192.0.2.7", good, deviceToken=device).status_code == 200
    assert place.rows("SELECT failures FROM totp WHERE user_id = ?", user.id) == [(0,)]


def test_mfa_14_many_wrong_codes_close_unknown_devices_alone(service):
    user, phone = enrolled(service)
    service.do("users", "update", user.email, "--email-verified", "true")
    device = user.answer["deviceToken"]

    def failed(times: int):
        with sqlite3.connect(service.kept(), timeout=10) as database:
            database.execute("UPDATE totp SET failures = ? WHERE user_id = ?", (times, user.id))

    failed(9)
    assert code_of(second(service, begun(user), phone.wrong())) == WRONG_CODE
    assert len(service.audit("login.guessed", user.email)) == 1 and service.mail(user.email, "^Another person may know your password")
    failed(100)
    good = phone.code()
    assert code_of(second(service, begun(user), good)) == WRONG_CODE, "a right code on an unknown device"
    assert second(service, begun(user), good, deviceToken=device).status_code == 200, "and on a known one"
    failed(100)
    assert recover(service, begun(user), phone.recovery[0]).status_code == 200, "a recovery code cannot be guessed"


def test_mfa_15_one_step_around_the_present_one(service):
    for off, right in ((-2, False), (2, False), (-3, False), (20, False), (-1, True), (0, True), (1, True)):
        user = service.sign_up()
        phone = Phone(user.post("/two-factor/enable", {"password": PASSWORD}).json())
        confirmed = user.post("/two-factor/verify-totp", {"code": phone.at(phone.step() + off)})
        assert (confirmed.status_code == 200) == right, off
    user, phone = enrolled(service)
    for off in (-2, 2):
        assert code_of(second(service, begun(user), phone.at(phone.step() + off))) == WRONG_CODE
    for odd in ("", " ", "12345", "1234567", "abcdef", "-00001", phone.at(phone.step() + 1) + "0", "١٢٣٤٥٦"):
        assert second(service, begun(user), odd).status_code in (400, 401), odd
    assert second(service, begun(user), phone.code()).status_code == 200


def test_mfa_16_a_token_says_how_its_user_signed_in(service):
    plain = service.sign_up()
    strength = lambda token: tuple(decode(token)[1].get(name) for name in ("acr", "amr"))
    one, two = "urn:countersign:acr:1fa", "urn:countersign:acr:2fa"
    assert strength(plain.access) == (one, ["pwd"])
    user, phone = enrolled(service)
    done = second(service, begun(user), phone.code(), trustDevice=True).json()
    assert strength(user.access) == strength(done["accessToken"]) == (two, ["pwd", "otp"])
    assert strength(recover(service, begun(user), phone.recovery[0]).json()["accessToken"]) == (two, ["pwd", "recovery"])
    remembered = service.sign_in(user.email, trustedDeviceToken=done["trustedDeviceToken"])
    assert strength(remembered.access) == (one, ["pwd", "device"]), "a device that is remembered proves nothing"
    service.later(remembered)
    assert strength(service.rotate(remembered.refresh).json()["accessToken"]) == (one, ["pwd", "device"])
    acted = service.admin().post("/admin/impersonate-user", {"userId": user.id})
    assert not {"acr", "amr"} & decode(acted.json()["accessToken"])[1].keys()


def test_mfa_17_no_session_is_lifted(service):
    user = service.sign_up()
    sister, before = service.sign_in(user.email), dict(user.answer)
    phone = Phone(user.post("/two-factor/enable", {"password": PASSWORD}).json())
    assert sister.is_in()
    confirm(user, phone)
    assert user.is_in() and not sister.is_in(), "a session of before may be the reason for it"
    for old in (before, sister.answer):
        assert service.who(old["token"]).status_code == 401 and service.rotate(old["refreshToken"]).status_code == 401
    # The factor proven again: a copy of the tokens of before gains nothing, and ends.
    before = dict(user.answer)
    confirm(user, phone)
    assert user.is_in() and service.who(before["token"]).status_code == 401 and service.rotate(before["refreshToken"]).status_code == 401
    assert decode(user.access)[1]["sid"] != decode(before["accessToken"])[1]["sid"]
    # A session that is below what its user now has ends, wherever it is read.
    user = service.sign_up()
    with sqlite3.connect(service.kept(), timeout=10) as database:
        database.execute("UPDATE users SET two_factor = 1, version = version + 1 WHERE id = ?", (user.id,))
    assert not user.is_in() and service.rotate(user.refresh).status_code == 401


def test_mfa_18_each_change_is_told(service):
    user = service.sign_up()
    service.do("users", "update", user.email, "--email-verified", "true")
    user, phone = turned_on(user)
    assert recover(service, begun(user), phone.recovery[0]).status_code == 200
    assert code_of(second(service, begun(user), phone.wrong())) == WRONG_CODE
    confirm(user, phone)
    assert user.post("/two-factor/generate-backup-codes", {"password": PASSWORD}).status_code == 200
    assert user.post("/two-factor/disable", {"password": PASSWORD}).status_code == 200
    user, phone = turned_on(service.sign_in(user.email))
    service.do("users", "reset-factors", user.email, "--yes")
    for subject, count in ("^Two-step sign-in was turned on", 2), ("^A recovery code was used", 1), ("^New recovery codes", 1), ("^Two-step sign-in was turned off", 1), ("^Two-step sign-in was reset", 1):
        assert service.mail(user.email, subject, count)
    told = "".join(str(mail) for mail in service.mails(user.email))
    assert not any(secret in told for secret in (phone.secret, *phone.recovery))
    kinds = {event["kind"] for event in service.audit(user=user.email)}
    assert {"factor.enrolled", "factor.removed", "factor.reset", "factor.refused", "recovery.used", "recovery.renewed", "session.stepped_up"} <= kinds, kinds


def test_mfa_19_who_may_reset_factors(service):
    (user, phone), admin = enrolled(service), service.admin()
    reset = lambda caller, target: caller.post("/admin/reset-factors", {"userId": target.id})
    for caller, target in ((service.sign_up(), user), (user, user), (admin, admin)):
        assert code_of(reset(caller, target)) == (403, "YOU_ARE_NOT_ALLOWED_TO_RESET_USERS_FACTORS")
    challenge, trusted = begun(user), second(service, begun(user), phone.code(), trustDevice=True).json()["trustedDeviceToken"]
    assert reset(admin, user).status_code == 200
    assert not user.is_in() and code_of(recover(service, challenge, phone.recovery[0])) in (OVER, WRONG_RECOVERY)
    user, _ = turned_on(service.sign_in(user.email, trustedDeviceToken=trusted))
    assert is_pending(service.attempt(user.email, trustedDeviceToken=trusted))


def test_mfa_20_cookies_and_origins(secure):
    user, phone = enrolled(secure)
    through = {"X-Forwarded-Proto": "https", "Origin": secure.issuer}
    answer = secure.post("/sign-in/email", {"email": user.email, "password": PASSWORD}, headers=through)
    waiting = next(line for line in answer.headers.get_list("set-cookie") if "two_factor=" in line)
    secret = re.search(r"two_factor=([^;]+)", waiting)[1]
    name = waiting.split("=")[0]
    verify = lambda origin, code: httpx.post(secure.url("/two-factor/verify-totp"), json={"code": code, "trustDevice": True}, cookies={name: secret}, headers={**through, "Origin": origin})
    assert verify(EVIL, phone.code()).status_code == 403
    done = verify(secure.issuer, phone.at(phone.last))
    assert done.status_code == 200
    trusted = next(line for line in done.headers.get_list("set-cookie") if "trust_device=" in line)
    for line in (waiting, trusted):
        assert all(part in line for part in ("HttpOnly", "Secure", "SameSite=", "Path=")) and "SameSite=None" not in line and "Domain=" not in line, line
    assert len(base64.urlsafe_b64decode(secret.split(".")[0] + "===")) >= 32 or len(secret) >= 43, "256 random bits"
    assert any(line.startswith(name) and "Max-Age=0" in line for line in done.headers.get_list("set-cookie")), "a sign-in that is done leaves no cookie of it"


TWO = "urn:countersign:acr:2fa"


def lacks(answer) -> list[str]:
    """What would lead further, of a refusal with the header of RFC 9470."""
    assert code_of(answer) == (403, "INSUFFICIENT_USER_AUTHENTICATION"), answer.text
    assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
    return answer.json()["methods"]


def test_mfa_23_a_demand_is_met_by_a_proof_in_a_new_session(own):
    place = own()
    user, phone = enrolled(place)
    trusted = second(place, begun(user), phone.code(), trustDevice=True).json()["trustedDeviceToken"]
    there = place.sign_in(user.email, trustedDeviceToken=trusted)
    assert lacks(there.post("/step-up", {"acrValues": TWO})) == ["totp", "backup_code"], "a remembered device is no proof"
    there.answer = there.post("/step-up/password", {"password": PASSWORD}).json()
    copy = dict(there.bearer)
    assert lacks(there.post("/step-up", {"acrValues": TWO})) == ["totp", "backup_code"], "nor is the password twice"
    # Words that are no values are no way round it.
    for body in ({"acrValues": "urn:other"}, {"acrValues": [TWO]}, {"maxAge": -1}, {"maxAge": 1e99}):
        assert there.post("/step-up", body).status_code == 400, body
    there.answer = there.post("/two-factor/verify-backup-code", {"code": phone.recovery[0]}).json()
    told = there.post("/step-up", {"acrValues": f"urn:other {TWO}", "maxAge": 300})
    assert told.status_code == 200 and decode(told.json()["accessToken"])[1]["acr"] == TWO
    assert place.post("/step-up", {}, headers=copy).status_code == 401, "a copy of the session before is not lifted"
    place.kill()
    place.serve(clock=900)
    assert lacks(there.post("/step-up", {"maxAge": 300})) == ["totp", "backup_code"]
    # Another user's proof changes nothing here.
    assert place.sign_up().post("/step-up", {"maxAge": 300}).status_code == 200
    assert lacks(there.post("/step-up", {"maxAge": 300}))


def test_mfa_24_a_stolen_session_changes_no_way_in(own):
    place = own()
    user, phone = enrolled(place)
    changes = (("change-password", {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}), ("change-email", {"newEmail": "thief@example.com"}),
               ("two-factor/disable", {"password": PASSWORD}), ("delete-user", {}), ("delete-user", {"password": PASSWORD}))
    place.kill()
    place.serve(clock=900)
    for path, body in changes:
        answer = user.post(f"/{path}", body)
        assert code_of(answer) == STALE and 'max_age="600"' in answer.headers["www-authenticate"], path
    user.answer = user.post("/step-up/password", {"password": PASSWORD}).json()
    for path, body in changes:
        assert code_of(user.post(f"/{path}", body)) == STALE, "the password is known to the thief"
    user.answer = user.post("/two-factor/verify-backup-code", {"code": phone.recovery[0]}).json()
    assert user.post("/change-password", changes[0][1]).status_code == 200
