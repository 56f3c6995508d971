"""ENU: accounts, and what a stranger learns of them."""

import re
import time

import httpx
import pytest
from phone import enrolled
from place import PASSWORD, wait_for
from service import INVITED, NUMBERS, RESET, SIGNED_UP_AGAIN, VERIFY, VERIFY_CHANGE, Collector, at_once


def plain(answer) -> tuple:
    """What an answer says, without what differs between any two."""
    return answer.status_code, answer.text, sorted(n for n in answer.headers if n != "date")


def test_enu_01_one_answer(service):
    wrong, disabled, banned = (service.sign_up() for _ in range(3))
    service.do("users", "disable", disabled.email, "--yes")
    service.do("users", "ban", banned.email, "--yes")
    service.run("users", "invite", "invited@example.com")
    answers = [plain(service.attempt(a, "a wrong password")) for a in (wrong.email, disabled.email, banned.email, "invited@example.com", "unknown@example.com")]
    assert answers == [answers[0]] * 5 and answers[0][0] == 401


def test_enu_02_in_the_same_time(own):
    """A known and an unknown address cost the same; benches/enumeration.sh measures the time to a percent, with a test of chance."""
    collector = Collector()
    place = own(collector.setting, OTEL_BSP_SCHEDULE_DELAY="100")
    addresses = [place.sign_up().email, "unknown@example.com"]
    traces = [f"{number + 1:032x}" for number in range(2)]
    for address, trace in zip(addresses, traces, strict=True):
        assert place.attempt(address, "a wrong password", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}).status_code == 401
    wait_for(lambda: all(trace in collector.spans() for trace in traces))
    place.stop_and_settle()
    known, unknown = (collector.costs(trace) for trace in traces)
    collector.close()
    assert known == unknown and known.count("password.verify") == 1, (known, unknown)


def test_enu_03_signing_up_does_not_tell(own):
    place = own("sign_up.require_email_verification=true")
    form = {"name": "Ana", "email": "ana@example.com", "password": PASSWORD}
    new, again = (place.post("/sign-up/email", form) for _ in range(2))
    assert new.status_code == again.status_code == 200 and sorted(new.headers) == sorted(again.headers)
    shape = lambda answer: [re.sub("=.*?;", "=;", line, count=1) for line in answer.headers.get_list("set-cookie")]
    assert shape(new) == shape(again) and "session" not in str(shape(new))
    assert new.json().keys() == again.json().keys() and new.json()["user"].keys() == again.json()["user"].keys()
    # The owner of the mailbox gets the link again, and once the mailbox is proven a notice.
    place.settled()
    count = len(place.mails_about("ana@example.com", VERIFY))
    assert count >= 1 and place.post("/sign-up/email", form).status_code == 200
    assert place.follow(place.link("ana@example.com", VERIFY, count + 1), password=PASSWORD).status_code == 303
    assert place.post("/sign-up/email", form).status_code == 200
    assert place.mail("ana@example.com", SIGNED_UP_AGAIN)


def test_enu_04_nor_do_mails(service):
    user, second = service.sign_up(), service.sign_up()
    kinds = ("sign-in", "email-verification", "forget-password")
    by_code = [("/email-otp/send-verification-otp", {"type": kind}) for kind in kinds]
    for path, form in (("/request-password-reset", {}), ("/send-verification-email", {}), *by_code, ("/email-otp/request-password-reset", {}), ("/sign-in/magic-link", {})):
        known, unknown = (service.post(path, {"email": a, **form}) for a in (user.email, f"unknown{next(NUMBERS)}@example.com"))
        assert plain(known)[:2] == plain(unknown)[:2] and known.status_code == 200
    taken, free = (second.post("/change-email", {"newEmail": a}) for a in (user.email, f"free{next(NUMBERS)}@example.com"))
    assert plain(taken) == plain(free)


def test_enu_05_nor_do_limits(own):
    place = own("rate_limits.enabled=true")
    user = place.sign_up()
    def until_limited(address):
        answers = []
        while not answers or answers[-1].status_code != 429:
            answers.append(place.attempt(address, "wrong password"))
            assert len(answers) < 60
        return answers
    known, unknown = until_limited(user.email), until_limited("unknown@example.com")
    for answers in (known, unknown):
        assert [a.status_code for a in answers[:5]] == [401] * 5
    said = [answers[-1] for answers in (known, unknown)]
    assert said[0].text == said[1].text and said[0].headers["ratelimit-policy"] == said[1].headers["ratelimit-policy"]


def test_enu_06_one_form_of_an_address(service):
    name = f"mixed{next(NUMBERS)}"
    user = service.sign_up(f"{name}@example.com")
    for spelling in (f"{name.upper()}@EXAMPLE.com", f"{name}@Example.COM"):
        assert service.sign_in(spelling).id == user.id
        assert service.post("/sign-up/email", {"name": "x", "email": spelling, "password": PASSWORD}).status_code == 422
        assert service.cli("users", "show", spelling)["id"] == user.id
    assert service.attempt(f" {name}@example.com").status_code == 400


def test_enu_07_look_alikes(service):
    service.sign_up("mike@example.com")
    for odd in ("m\u0131ke@example.com", "\uff4dike@example.com", "mi\u212ae@example.com", "mike@ex\u0430mple.com"):
        assert service.post("/sign-up/email", {"name": "x", "email": odd, "password": PASSWORD}).status_code == 400
        service.post("/request-password-reset", {"email": odd})
    service.settled()
    assert not service.mails("mike@example.com")


@pytest.mark.parametrize("odd", [["ana@example.com"], {"x": 1}, "a@example.com,b@example.com", "a@example.com\r\nBcc: e@e.com", "a\0@example.com", "a@b@example.com", "X <a@example.com>", '"a"@example.com',
                                 "a" * 65 + "@example.com", "a@" + "b" * 250 + ".com", "", None, 5, True])
def test_enu_08_one_address(service, odd):
    # Mails of the tests before this one may still be on their way.
    service.settled()
    before = len(service.mails())
    assert service.post("/sign-up/email", {"name": "x", "email": odd, "password": PASSWORD}).status_code == 400
    assert service.post("/request-password-reset", {"email": odd}).status_code == 400
    assert service.attempt(odd).status_code == 400
    assert len(service.mails()) == before


def test_enu_09_only_what_is_one_s_to_set(service):
    user = service.sign_up()
    for field, value in {"role": "admin", "emailVerified": True, "id": "x", "banned": False, "createdAt": "2020-01-01", "permissions": ["*"], "sub": "x"}.items():
        form = {"name": "x", "email": f"mass{next(NUMBERS)}@example.com", "password": PASSWORD, field: value}
        answer = service.post("/sign-up/email", form)
        assert answer.status_code == 400 or (answer.json()["user"]["role"], answer.json()["user"]["emailVerified"]) == ("user", False)
        user.post("/update-user", {"name": "y", field: value})
    seen = user.get("/session").json()["user"]
    assert (seen["id"], seen["role"], seen["emailVerified"]) == (user.id, "user", False)


THIEF, OWNER = "the thief's own password", "the owner's own password"


def reserved(service, **more):
    """An account that a stranger made with the address of another person."""
    return service.sign_up(f"victim{next(NUMBERS)}@example.com", THIEF, **more)


def belongs_to_the_owner(service, thief, address=None):
    address = address or thief.email
    assert not thief.is_in() and service.rotate(thief.refresh).status_code == 401, "the thief's session ended"
    assert service.who(thief.access).status_code == 401 and service.attempt(address, THIEF).status_code == 401, "the thief's password is no longer good"
    assert service.sign_in(address, OWNER).answer["user"]["emailVerified"] is True


def test_enu_10_who_only_reserved_an_address(service):
    thief = reserved(service)
    token = service.reset_token(thief.email)
    assert service.post("/reset-password", {"token": token, "newPassword": OWNER}).status_code == 200
    belongs_to_the_owner(service, thief)


def test_enu_10_by_the_link_of_a_sign_up(own):
    place = own("sign_up.require_email_verification=true")
    address = "victim@example.com"
    place.post("/sign-up/email", {"name": "x", "email": address, "password": THIEF})
    place.choose(place.follow(place.link(address, VERIFY)), OWNER)
    assert place.attempt(address, THIEF).status_code == 401
    assert place.sign_in(address, OWNER).answer["user"]["emailVerified"] is True


def test_enu_10_by_a_link_that_was_sent_again(service):
    for asks in ("thief", "owner"):
        thief = reserved(service)
        (thief.post if asks == "thief" else service.post)("/send-verification-email", {"email": thief.email})
        service.choose(service.follow(service.link(thief.email, VERIFY)), OWNER)
        belongs_to_the_owner(service, thief)


def test_enu_10_by_a_change_of_address(service):
    thief, victim = service.sign_up(password=THIEF), f"victim{next(NUMBERS)}@example.com"
    assert thief.post("/change-email", {"newEmail": victim}).status_code == 200
    service.choose(service.follow(service.link(victim, VERIFY_CHANGE)), OWNER)
    belongs_to_the_owner(service, thief, victim)


def test_enu_10_by_an_invitation(own):
    place = own()
    admin, victim = place.admin(), f"victim{next(NUMBERS)}@example.com"
    assert admin.post("/admin/invite-user", {"email": victim, "redirectTo": "/welcome"}).status_code == 200
    token = re.search(r"reset-password/([^?\s]+)", place.link(victim, INVITED))[1]
    # Before it is followed nothing else makes the account a stranger's: it has no password, and a second sign-up is told of the account or gets nothing.
    assert place.post("/sign-up/email", {"name": "x", "email": victim, "password": THIEF}).status_code == 422 and place.attempt(victim, THIEF).status_code == 401
    assert place.post("/reset-password", {"token": token, "newPassword": OWNER}).status_code == 200
    assert place.attempt(victim, THIEF).status_code == 401 and place.sign_in(victim, OWNER).answer["user"]["emailVerified"] is True


def test_enu_10_beside_cookies_that_another_host_planted(secure):
    for names in (("known_device",), ("session_token",), ("known_device", "session_token", "refresh_token")):
        victim = secure.sign_up(f"victim{next(NUMBERS)}@example.com").email
        thief = secure.browser(victim)
        assert thief.post("send-verification-email", json={"email": victim}).status_code == 200
        link = secure.link(victim, VERIFY).replace(secure.issuer, secure.base)
        # A name that begins with __Host- no other host can set.
        held = {cookie.name.partition("better-auth.")[2]: cookie.value for cookie in thief.cookies.jar}
        planted = httpx.Client(headers={"Cookie": "; ".join(f"__Secure-better-auth.{name}={held[name]}" for name in names)})
        secure.choose(secure.follow(link, planted), OWNER)
        assert secure.attempt(victim).status_code == 401, "what the thief had set has ended"
        assert secure.sign_in(victim, OWNER).answer["user"]["emailVerified"] is True


def test_enu_10_a_factor_of_who_only_reserved_an_address_keeps_no_owner_out(service):
    thief, _ = enrolled(service, address=f"victim{next(NUMBERS)}@example.com", password=THIEF)
    assert service.post("/reset-password", {"token": service.reset_token(thief.email), "newPassword": OWNER}).status_code == 200
    belongs_to_the_owner(service, thief)
    thief, _ = enrolled(service, address=f"victim{next(NUMBERS)}@example.com", password=THIEF)
    service.post("/send-verification-email", {"email": thief.email})
    service.choose(service.follow(service.link(thief.email, VERIFY)), OWNER)
    belongs_to_the_owner(service, thief)


def test_enu_11_unproven_is_not_in_and_does_not_stay(own):
    place = own("sign_up.require_email_verification=true", "log.level=info")
    place.post("/sign-up/email", {"name": "Ana", "email": "ana@example.com", "password": PASSWORD})
    assert place.attempt("ana@example.com").json()["code"] == "EMAIL_NOT_VERIFIED"
    made = place.run("users", "create", "made@example.com", stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    place.kill()
    place.confirm_clock(8 * 86_400)
    place.serve(clock=8 * 86_400)
    wait_for(lambda: place.attempt("ana@example.com").status_code == 401)
    assert place.rows("SELECT email FROM users") == [("made@example.com",)], "who was made by an operator stays"
    lenient = own("sign_up.require_email_verification=true", "log.level=info")
    lenient.post("/sign-up/email", {"name": "Ana", "email": "ana@example.com", "password": PASSWORD})
    lenient.kill()
    lenient.serve(settings=["sign_up.require_email_verification=false"])
    lenient.sign_in("ana@example.com")
    for settings in (["sign_up.require_email_verification=false"], ["sign_up.unproven_ttl=0s"], []):
        lenient.kill()
        lenient.confirm_clock(8 * 86_400)
        lenient.serve(settings=settings, clock=8 * 86_400)
        time.sleep(1)
        assert lenient.rows("SELECT COUNT(*) FROM users") == [(1,)], "who is in by other settings stays"


def test_enu_12_closed_is_closed_on_every_path(own):
    place = own("sign_up.allowed_domains=example.com", "sign_up.blocked_domains=trash.example.com")
    user = place.sign_up("a@Example.COM")
    # One of them is no address at all.
    for address, status in (("a@evil.com", 403), ("a@evil@example.com", 400), ("a@EVIL.com", 403), ("a@example.com.evil.com", 403), ("a@trash.example.com", 403), ("a@xexample.com", 403)):
        assert place.post("/sign-up/email", {"name": "x", "email": address, "password": PASSWORD}).status_code == status, address
    assert user.post("/change-email", {"newEmail": "a@evil.com"}).json()["code"] == "EMAIL_DOMAIN_NOT_ALLOWED"
    closed = own("sign_up.enabled=false")
    assert closed.post("/sign-up/email", {"name": "x", "email": "a@example.com", "password": PASSWORD}).json()["code"] == "EMAIL_PASSWORD_SIGN_UP_DISABLED"


def test_enu_13_twenty_at_once(service):
    form = {"name": "x", "email": f"race{next(NUMBERS)}@example.com", "password": PASSWORD}
    answers = at_once(lambda: service.post("/sign-up/email", form).status_code)
    assert sorted(answers) == [200] + [422] * 19
    assert service.rows("SELECT COUNT(*) FROM users WHERE email = ?", form["email"]) == [(1,)]


def test_enu_14_names_are_words_and_nothing_else(service):
    admin = service.admin()
    for name in ("<img src=x onerror=alert(1)>", "{{1234*1234}}", "a\u202eb", "\x1b[31mred", "x" * 5_000, "line\nbreak"):
        answer = service.post("/sign-up/email", {"name": name, "email": f"name{next(NUMBERS)}@example.com", "password": PASSWORD})
        if answer.status_code == 200:
            user = answer.json()["user"]
            service.post("/request-password-reset", {"email": user["email"]})
            said = service.mail(user["email"], RESET)
            html = said.get_body(("html",)).get_content()
            assert "<img src=x" not in html and "1522756" not in said.get_body(("plain",)).get_content()
            shown = service.run("users", "show", user["email"])
            assert "\x1b" not in shown.stdout and "\u202e" not in shown.stdout
    assert "\x1b[31m" not in service.log()
    assert admin.get("/admin/list-users").headers["content-type"].startswith("application/json")


def test_enu_15_ids_say_nothing(service):
    import uuid

    ids = [uuid.UUID(service.sign_up().id) for _ in range(5)]
    assert {i.version for i in ids} == {4}
    assert service.sign_up().get("/admin/list-users").status_code == 403


def test_enu_16_policy_is_a_setting(own):
    place = own("sign_up.blocked_domains=mailinator.com,*.tempmail.example")
    for address in ("a@mailinator.com", "a@x.tempmail.example"):
        assert place.post("/sign-up/email", {"name": "x", "email": address, "password": PASSWORD}).json()["code"] == "EMAIL_DOMAIN_NOT_ALLOWED"
