"""EML and MFA: codes that come by mail, and links that sign in."""

import re
import sqlite3

import httpx
from mailbox import CODE, LINK, OPEN, OVER, SEND, SPENT, WRONG, asker, code, codes, is_in, link, links, other, sent, token, typed, verified
from phone import code_of, enrolled, is_pending, second, set_cookies
from place import PASSWORD, wait_for
from service import APP, EVIL, NUMBERS, at_once, b64, decode

NEW = "another good password"
# A fetch of a script, as a browser says it.
FETCH = {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}


def everything(place) -> str:
    """Each cell of each table."""
    tables = [table for (table,) in place.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return "\n".join(str(cell) for table in tables for row in place.rows(f"SELECT * FROM {table}") for cell in row)


def test_eml_22_a_code_stands_nowhere(own):
    place = own()
    user, client = verified(place), asker(place)
    said, found = "", []
    for _ in range(4):
        before = len(codes(place, user.email))
        answer = client.post(LINK, json={"email": user.email})
        said += answer.text + str(answer.headers) + everything(place)
        found.append(wait_for(lambda: len(all_ := codes(place, user.email)) > before and all_)[-1])
        said += everything(place)
    said += typed(client, user.email, other(found[-1])).text
    kept = b"".join(path.read_bytes() for path in place.kept().parent.glob("countersign.db*")).decode(errors="replace")
    assert user.email in kept and user.email in said, "what is kept of the user is found"
    # Six digits may stand in a time by chance; those of each of four codes do not.
    for text in (said, kept, place.log()):
        assert not all(re.search(rf"(?<!\d){one}(?!\d)", text) for one in found)
        assert not any(token(one) in text for one in links(place, user.email))
    assert typed(client, user.email, found[-1]).status_code == 200


def test_eml_23_a_code_is_good_once(service):
    user, client = verified(service), asker(service)
    good = code(service, client, user.email)
    before = len(service.rows("SELECT id FROM sessions WHERE user_id = ?", user.id))
    answers = at_once(lambda: httpx.post(f"{service.base}{CODE}", json={"email": user.email, "otp": good}, cookies=dict(client.cookies), headers={"Origin": service.issuer}, timeout=30))
    assert [a.status_code for a in answers].count(200) == 1 and {code_of(a) for a in answers if a.status_code != 200} <= {WRONG, SPENT}
    assert len(service.rows("SELECT id FROM sessions WHERE user_id = ?", user.id)) == before + 1
    assert code_of(typed(client, user.email, good)) == WRONG
    # The link and the code of one mail end together, whichever is used.
    opened = link(service, client, user.email)
    beside = codes(service, user.email)[-1]
    assert typed(client, user.email, beside).status_code == 200
    assert "error=INVALID_TOKEN" in httpx.post(f"{service.base}{OPEN}", data={"token": token(opened)}).headers["location"]
    opened, elsewhere = link(service, client, user.email), asker(service)
    beside = codes(service, user.email)[-1]
    assert service.follow(opened, elsewhere).status_code == 303 and is_in(elsewhere)
    assert code_of(typed(client, user.email, beside)) == WRONG


def test_eml_24_five_tries_and_three(service):
    user, client = verified(service), asker(service)
    good = code(service, client, user.email)
    post = lambda cookies: code_of(httpx.post(f"{service.base}{CODE}", json={"email": user.email, "otp": other(good)}, cookies=cookies, headers={"Origin": service.issuer}, timeout=30))
    # Side by side they are no more, so each is counted before it is compared.
    strangers = at_once(lambda: post({}))
    assert sorted(strangers) == [WRONG] * 3 + [SPENT] * 17
    assert code_of(typed(asker(service), user.email, good)) == SPENT, "and the right one is not compared either"
    own = at_once(lambda: post(dict(client.cookies)))
    assert sorted(own) == [WRONG] * 5 + [SPENT] * 15
    assert code_of(typed(client, user.email, good)) == SPENT
    assert service.rows("SELECT tries_of_asker, tries_of_others FROM login_codes WHERE email = ? AND ended_at IS NULL", user.email) == [(5, 3)]
    # They are of one code: the next one has its own.
    assert typed(client, user.email, code(service, client, user.email)).status_code == 200


def test_eml_25_strangers_take_nothing_away(service):
    user, client, stranger = verified(service), asker(service), asker(service)
    good = code(service, client, user.email)
    for one in (stranger, asker(service), asker(service)):
        for _ in range(2):
            theirs = code(service, one, user.email)
            for nth in range(1, 8):
                assert code_of(typed(one, user.email, other(theirs, nth))) in (WRONG, SPENT)
    for nth in range(1, 8):
        assert code_of(typed(asker(service), user.email, f"x{nth}")) in (WRONG, SPENT)
    assert typed(client, user.email, good).status_code == 200 and is_in(client)
    # A request of one's own ends the code of before.
    first = code(service, stranger, user.email)
    latest = code(service, stranger, user.email)
    assert first == latest or code_of(typed(stranger, user.email, first)) == WRONG
    assert typed(stranger, user.email, latest).status_code == 200


def test_eml_26_no_owner_is_locked_out(own):
    place = own("rate_limits.enabled=true", "server.trusted_proxies=127.0.0.1")
    user = verified(place)
    known, client = place.browser(user.email), asker(place, **{"X-Forwarded-For": "198.51.100.7"})
    known.base_url = place.base
    known.post("/api/auth/sign-out", json={})
    code(place, asker(place, **{"X-Forwarded-For": "203.0.113.9"}), user.email)
    assert code_of(typed(asker(place, **{"X-Forwarded-For": "203.0.113.9"}), user.email, "no code")) == WRONG
    # As after many more of them, from everywhere.
    with sqlite3.connect(place.kept(), timeout=10) as database:
        assert database.execute("UPDATE rate_limits SET level = level + 30 WHERE key LIKE 'email-code-account:%'").rowcount == 1
    wait_for(lambda: code_of(typed(asker(place, **{"X-Forwarded-For": "192.0.2.9"}), user.email, "no code")) == WRONG)
    # A request for a code alone brings a link, too; the code waits, right or wrong, and the link works.
    opened = sent(place, client, user.email, SEND, links, type="sign-in")
    good = codes(place, user.email)[-1]
    for one in (good, other(good)):
        waits = typed(client, user.email, one)
        assert waits.status_code == 429 and int(waits.headers["retry-after"]) > 0
    assert place.follow(opened, client).status_code == 303 and is_in(client)
    # A browser that has signed in to the account before does not wait.
    assert typed(known, user.email, code(place, known, user.email)).status_code == 200 and is_in(known)


def test_eml_27_only_a_post_acts(service):
    user, client = verified(service), asker(service)
    opened = link(service, client, user.email, callbackURL="/welcome")
    good = codes(service, user.email)[-1]
    state = lambda: service.rows("SELECT * FROM login_codes WHERE email = ?", user.email) + service.rows("SELECT id FROM sessions WHERE user_id = ?", user.id)
    before = state()
    scripts = (FETCH, {"Sec-Fetch-Mode": "same-origin"}, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, {"Accept": "application/json"}, {"Accept": "*/*"}, {})
    for headers in scripts:
        for method in ("GET", "HEAD"):
            seen = httpx.request(method, opened, headers=headers)
            assert seen.status_code == 200 and not set_cookies(seen), (method, headers, seen.text)
            assert method == "HEAD" or ('method="post"' in seen.text and "data-post-now" not in seen.text)
    # In the browser that asked, opening it and a HEAD do nothing either.
    for method, headers in (("GET", {"Sec-Fetch-Mode": "navigate"}), ("HEAD", FETCH), ("HEAD", {})):
        seen = client.request(method, opened, headers=headers)
        assert seen.status_code == 200 and not set_cookies(seen)
    assert "data-post-now" in client.get(opened).text and state() == before
    # The button elsewhere signs in where it is pressed, and never the browser that asked.
    elsewhere = asker(service)
    led = service.follow(opened, elsewhere)
    assert led.status_code == 303 and led.headers["location"] == "/welcome" and is_in(elsewhere) and not is_in(client)
    assert code_of(typed(client, user.email, good)) == WRONG and not is_in(client)
    again = client.get(opened)
    assert again.status_code == 302 and again.headers["location"] == "/welcome?error=INVALID_TOKEN" and not is_in(client)


def test_eml_28_a_foreign_page_signs_no_visitor_in(service):
    attacker = verified(service)
    opened = link(service, asker(service), attacker.email)
    visitor = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30)
    for origin in (EVIL, "null", APP + ".evil.example"):
        for mode in ("cors", "same-origin", "no-cors"):
            for site in ("cross-site", "same-site"):
                seen = visitor.get(opened, headers={"Origin": origin, "Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site, "Accept": "*/*"})
                assert not set_cookies(seen) and "access-control-allow-origin" not in seen.headers, (origin, mode, seen.text)
        for body in ({"data": {"token": token(opened)}}, {"json": {"token": token(opened)}}):
            assert visitor.post(f"{service.base}{OPEN}", headers={"Origin": origin}, **body).status_code == 403, origin
        for path in (SEND, LINK, CODE):
            asked = visitor.post(f"{service.base}{path}", json={"email": attacker.email, "type": "sign-in", "otp": "000000"}, headers={"Origin": origin})
            assert asked.status_code == 403 and not set_cookies(asked), path
    # A fetch without an origin, as of another site's page that leaves it out.
    assert not set_cookies(visitor.get(opened, headers={**FETCH, "Sec-Fetch-Site": "cross-site"}))
    done = visitor.get(f"{service.base}{OPEN}", params={"token": token(opened)}, headers={**FETCH, "Origin": APP})
    assert done.status_code == 200 and done.json()["user"]["id"] == attacker.id and "session_token" in set_cookies(done), "a page of a trusted origin"


def test_eml_29_a_code_is_for_one_thing(own):
    place = own("two_factor.email=true")
    ana, bo, client = verified(place), verified(place), asker(place)
    at = {"sign-in": CODE, "email-verification": "/api/auth/email-otp/verify-email", "forget-password": "/api/auth/email-otp/reset-password"}
    for kind in at:
        for path in [path for other_kind, path in at.items() if other_kind != kind]:
            good = code(place, client, ana.email, kind)
            assert code_of(typed(client, ana.email, good, path, password=NEW)) == WRONG, (kind, path)
            assert code_of(typed(client, bo.email, good, at[kind], password=NEW)) == WRONG, "of another address"
            check = typed(client, ana.email, good, "/api/auth/email-otp/check-verification-otp", type=kind)
            assert check.status_code == 200, check.text
    # Of a change of the address: for the user and for the address.
    change = lambda user, code, new: code_of(user.post("/email-otp/change-email", {"newEmail": new, "otp": code}))
    new = f"new{next(NUMBERS)}@example.com"
    agreed = code(place, client, ana.email, "email-verification")
    asked = ana.service.post("/email-otp/request-email-change", {"newEmail": new, "otp": agreed}, headers=ana.bearer)
    assert asked.status_code == 200, asked.text
    good = wait_for(lambda: codes(place, new))[-1]
    assert change(bo, good, new) == change(ana, good, "x" + new) == WRONG
    for path in at.values():
        assert code_of(typed(client, new, good, path, password=NEW)) == WRONG, path
    assert change(ana, good, new)[0] == 200
    # Of a second step: for the pending sign-in, and for nothing else.
    assert bo.post("/two-factor/enable", {"password": PASSWORD, "method": "otp"}).status_code == 200
    first = wait_for(lambda: codes(place, bo.email))[-1]
    confirmed = bo.post("/two-factor/verify-otp", {"code": first})
    assert confirmed.status_code == 200, confirmed.text
    bo.answer = confirmed.json()
    one, another = (place.attempt(bo.email).json()["challenge"] for _ in range(2))
    good = sent(place, client, bo.email, "/api/auth/two-factor/send-otp", challenge=one)
    assert code_of(second(place, another, good, "verify-otp")) == code_of(bo.post("/two-factor/verify-otp", {"code": good})) == (400, "OTP_HAS_EXPIRED")
    for path in at.values():
        assert code_of(typed(client, bo.email, good, path, password=NEW)) == WRONG, path
    assert second(place, one, good, "verify-otp").status_code == 200


def reclaims(service, how: str, client: httpx.Client, address: str):
    """Proves the mailbox in this browser."""
    if how == "link":
        assert service.follow(link(service, client, address), client).status_code == 303
    else:
        kind, path = {"sign-in": ("sign-in", CODE), "verify": ("email-verification", "/api/auth/email-otp/verify-email"), "reset": ("forget-password", "/api/auth/email-otp/reset-password")}[how]
        answer = typed(client, address, code(service, client, address, kind), path, password=NEW)
        assert answer.status_code == 200, answer.text
        assert how != "verify" or (answer.json()["user"] is None and answer.json()["redirect"] is True and "/reset-password/" in answer.json()["url"])


def test_eml_30_a_mailbox_that_was_never_proven_is_its_owners(service):
    for how in ("link", "sign-in", "verify", "reset"):
        thief, phone = enrolled(service, address=f"victim{next(NUMBERS)}@example.com", name="Buy at evil.example")
        device = thief.answer["deviceToken"]
        owner = asker(service)
        reclaims(service, how, owner, thief.email)
        assert not thief.is_in() and service.rotate(thief.refresh).status_code == 401, how
        assert code_of(service.attempt(thief.email, deviceToken=device)) == (401, "INVALID_EMAIL_OR_PASSWORD"), how
        assert service.rows("SELECT email_verified, two_factor FROM users WHERE id = ?", thief.id) == [(1, 0)], how
        assert service.rows("SELECT COUNT(*) FROM totp WHERE user_id = ?", thief.id) == [(0,)] and len(service.audit("account.reclaimed", thief.email)) == 1
        assert is_in(owner) == (how in ("link", "sign-in")), how
    # In the browser that has signed up it is the same person: everything stays.
    own = service.browser()
    own.base_url = service.base
    assert typed(own, own.user.email, code(service, own, own.user.email)).status_code == 200
    assert own.user.is_in() and service.sign_in(own.user.email).answer["user"]["emailVerified"] is True


def test_eml_30_planted_cookies_tie_nothing(secure):
    for how in ("link", "sign-in", "verify"):
        for names in (("known_device",), ("session_token",), ("known_device", "session_token", "refresh_token")):
            victim = secure.sign_up(f"victim{next(NUMBERS)}@example.com").email
            held = {cookie.name.partition("better-auth.")[2]: cookie.value for cookie in secure.browser(victim).cookies.jar}
            # A name that begins with __Host- no other host can set.
            planted = "; ".join(f"__Secure-better-auth.{name}={held[name]}" for name in names)
            owner = httpx.Client(base_url=secure.base, headers={"Origin": secure.issuer, "Cookie": planted}, timeout=30)
            reclaims(secure, how, owner, victim)
            assert secure.attempt(victim).status_code == 401, (how, names)


def test_eml_31_a_new_address(own):
    place, new = own(), "new@example.com"
    client = asker(place)
    opened, good = link(place, client, new, name="Nina"), codes(place, new)[-1]
    assert place.rows("SELECT COUNT(*) FROM users") == [(0,)], "a request makes no account"
    assert place.get("/magic-link/verify", params={"token": token(opened)}).status_code == 200 and place.rows("SELECT COUNT(*) FROM users") == [(0,)]
    for settings in (["sign_up.enabled=false"], ["sign_up.blocked_domains=example.com"], ["sign_up.allowed_domains=example.org"]):
        place.kill()
        place.serve(settings=settings)
        answer = typed(client, new, good)
        assert 400 <= answer.status_code < 500, (settings, answer.text)
        led = client.post(OPEN, data={"token": token(opened)})
        assert "error=" in led.headers.get("location", "") or led.status_code >= 400, settings
        assert place.rows("SELECT COUNT(*) FROM users") == [(0,)], settings
        # No mail is sent to another one either.
        assert client.post(SEND, json={"email": "other@example.com", "type": "sign-in"}).status_code == 200
        place.settled()
        assert not place.mails("other@example.com"), settings
    place.kill()
    place.serve()
    done = typed(client, new, good)
    assert done.status_code == 200 and done.json()["user"]["emailVerified"] is True and done.json()["user"]["name"] == "Nina"
    assert place.rows("SELECT role FROM users") == [("user",)]


def test_eml_32_what_ends_codes(own):
    place = own()
    for change in ("password", "reset", "shell", "address", "everything"):
        user, client = verified(place), asker(place)
        opened, good = link(place, client, user.email), codes(place, user.email)[-1]
        if change == "password":
            assert user.post("/change-password", {"currentPassword": PASSWORD, "newPassword": NEW}).status_code == 200
        elif change == "reset":
            assert place.post("/reset-password", {"token": place.reset_token(user.email), "newPassword": NEW}).status_code == 200
        elif change == "shell":
            assert place.run("users", "set-password", user.email, stdin=f"{NEW}\n").returncode == 0
        elif change == "address":
            place.do("users", "update", user.email, "--email", "other" + user.email)
        else:
            place.do("sessions", "revoke", "--all", "--yes")
        assert code_of(typed(client, user.email, good)) == WRONG, change
        assert "error=INVALID_TOKEN" in client.post(OPEN, data={"token": token(opened)}).headers["location"], change
    user, client = verified(place), asker(place)
    good = code(place, client, user.email)
    place.kill()
    place.serve(clock=601)
    assert code_of(typed(client, user.email, good)) == OVER, "ten minutes"
    assert typed(client, user.email, code(place, client, user.email)).status_code == 200


def test_eml_33_the_cookie_of_the_browser_that_asked(service, secure):
    through = {"X-Forwarded-Proto": "https"}
    for place, headers in ((service, {}), (secure, through)):
        user = verified(place)
        for path in (SEND, LINK):
            answer = place.ask("POST", path.removeprefix("/api/auth"), json={"email": user.email, "type": "sign-in"}, headers={"Origin": place.issuer, **headers})
            lines = [line for line in answer.headers.get_list("set-cookie") if "email_code=" in line]
            assert len(lines) == 1 and all(part in lines[0] for part in ("HttpOnly", "SameSite=", "Path=/")), lines
            assert "SameSite=None" not in lines[0] and "Domain=" not in lines[0] and ("Secure" in lines[0]) == (place is secure)
            assert lines[0].startswith("__Host-") == (place is secure), lines
            secret = re.search(r"email_code=([^;]+)", lines[0])[1]
            kept = b"".join(file.read_bytes() for file in place.kept().parent.glob("countersign.db*"))
            assert secret.encode() not in kept and secret not in place.log() and secret not in answer.text
            assert place.who(secret).status_code == 401, "it is no credential"
    # A native client has it in the body, and no cookie.
    asked = service.post("/email-otp/send-verification-otp", {"email": verified(service).email, "type": "sign-in", "tokenDelivery": "body"})
    assert len(asked.json()["binding"]) >= 43 and "set-cookie" not in asked.headers
    # One that was made up is not taken.
    client = asker(service)
    client.cookies.set("better-auth.email_code", b64(b"x" * 16), domain="127.0.0.1")
    assert "email_code" in set_cookies(client.post(SEND, json={"email": "somewhere@example.com", "type": "sign-in"}))


def test_mfa_21_mail_is_one_factor(own):
    place = own("two_factor.email=true")
    user, phone = enrolled(place)
    place.do("users", "update", user.email, "--email-verified", "true")
    client = asker(place)
    # By a code and by a link, which leads to the page for the second step.
    pending = typed(client, user.email, code(place, client, user.email))
    assert is_pending(pending) and pending.json()["twoFactorMethods"] == ["totp"] and not is_in(client)
    # What the mailbox says once more is no second step.
    assert code_of(client.post("/api/auth/two-factor/send-otp", json={})) == (400, "OTP_NOT_CONFIGURED")
    assert client.post("/api/auth/two-factor/verify-otp", json={"code": "000000"}).status_code in (400, 401) and not is_in(client)
    other_client = asker(place)
    led = place.follow(link(place, other_client, user.email, callbackURL="/welcome"), other_client)
    assert led.status_code == 303 and led.headers["location"] == "/auth/challenge?redirect_to=%2Fwelcome" and not is_in(other_client)
    done = client.post("/api/auth/two-factor/verify-totp", json={"code": phone.code()})
    assert done.status_code == 200 and is_in(client)
    access = client.get("/api/auth/token").json()["token"]
    assert (decode(access)[1]["acr"], decode(access)[1]["amr"]) == ("urn:countersign:acr:2fa", ["email", "otp"])
    # A user whose only second step is a code of the mailbox does not get in by the mailbox alone.
    bo = verified(place)
    assert bo.post("/two-factor/enable", {"password": PASSWORD, "method": "otp"}).status_code == 200
    assert bo.post("/two-factor/verify-otp", {"code": wait_for(lambda: codes(place, bo.email))[-1]}).status_code == 200
    client = asker(place)
    good = code(place, client, bo.email)
    assert code_of(typed(client, bo.email, good)) == (403, "INSUFFICIENT_USER_AUTHENTICATION") and not is_in(client)
    challenge = place.attempt(bo.email).json()["challenge"]
    step = sent(place, client, bo.email, "/api/auth/two-factor/send-otp", challenge=challenge)
    assert second(place, challenge, step, "verify-otp").status_code == 200, "beside the password it is one"


def test_mfa_22_codes_by_mail_are_a_setting(own):
    plain, place = own(), own("two_factor.email=true")
    enable = lambda user, password=PASSWORD: user.post("/two-factor/enable", {"password": password, "method": "otp"})
    user = verified(plain)
    assert code_of(enable(user)) == code_of(user.post("/two-factor/verify-otp", {"code": "000000"})) == (400, "OTP_NOT_CONFIGURED")
    user, phone = enrolled(plain)
    plain.do("users", "update", user.email, "--email-verified", "true")
    pending = plain.attempt(user.email)
    assert pending.json()["twoFactorMethods"] == ["totp"]
    assert code_of(plain.post("/two-factor/send-otp", {"challenge": pending.json()["challenge"]})) == (400, "OTP_NOT_CONFIGURED")
    # To a verified mailbox alone, with the password, and on after a first code.
    user = place.sign_up()
    assert code_of(enable(user)) == (403, "EMAIL_NOT_VERIFIED")
    place.do("users", "update", user.email, "--email-verified", "true")
    assert code_of(enable(user, "a wrong password")) == (400, "INVALID_PASSWORD") and not codes(place, user.email)
    assert enable(user).status_code == 200
    first = wait_for(lambda: codes(place, user.email))[-1]
    assert not is_pending(place.attempt(user.email)), "a mailbox that gets no mail locks its user out of nothing"
    assert code_of(user.post("/two-factor/verify-otp", {"code": other(first)})) == (401, "INVALID_CODE")
    sister, before = place.sign_in(user.email), dict(user.answer)
    confirmed = user.post("/two-factor/verify-otp", {"code": first})
    assert confirmed.status_code == 200 and not sister.is_in() and place.who(before["token"]).status_code == 401
    assert place.attempt(user.email).json()["twoFactorMethods"] == ["otp"]
    # Five tries for each code, and for each pending sign-in.
    challenge = place.attempt(user.email).json()["challenge"]
    good = sent(place, asker(place), user.email, "/api/auth/two-factor/send-otp", challenge=challenge)
    answers = at_once(lambda: code_of(second(place, challenge, other(good), "verify-otp")))
    assert answers.count((401, "INVALID_CODE")) == 5 and second(place, challenge, good, "verify-otp").status_code >= 400
