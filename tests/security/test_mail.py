"""EML: links that come by mail."""

import re

import httpx
from place import PASSWORD
from service import ADDRESS_CHANGED, APPROVE_CHANGE, NUMBERS, PASSWORD_CHANGED, RESET, SIGNED_OUT, VERIFY, VERIFY_CHANGE, at_once, document

NEW = "another good password"


def set_password(service, token: str, password: str = NEW) -> int:
    return service.post("/reset-password", {"token": token, "newPassword": password}).status_code


def test_eml_01_random_hashed_and_bound(service):
    user, other = service.sign_up(), service.sign_up()
    token = service.reset_token(user.email)
    assert len(token) >= 40
    assert token.encode() not in service.kept().read_bytes() + (service.folder / "data/countersign.db-wal").read_bytes()
    assert service.post("/reset-password", {"token": token, "newPassword": NEW, "userId": other.id, "email": other.email}).status_code == 200
    assert service.attempt(other.email, NEW).status_code == 401 and service.attempt(user.email, NEW).status_code == 200


def test_eml_02_a_short_life(own):
    place = own("mail.reset_ttl=30m", "mail.verify_ttl=1h")
    user = place.sign_up()
    token = place.reset_token(user.email)
    place.post("/send-verification-email", {"email": user.email})
    verify = re.search(r"token=([^&\s]+)", place.link(user.email, VERIFY))[1]
    place.kill()
    place.serve(clock=3_601)
    assert set_password(place, token) == 400
    assert place.get("/verify-email", params={"token": verify}).status_code == 401


def test_eml_03_one_of_twenty(service):
    user = service.sign_up()
    token, numbers = service.reset_token(user.email), iter(range(20))
    def one():
        password = f"the good password {next(numbers)}"
        return password, set_password(service, token, password)
    won = [p for p, status in at_once(one) if status == 200]
    assert len(won) == 1 and service.attempt(user.email, won[0]).status_code == 200


def test_eml_04_a_newer_one_ends_the_older(service):
    user = service.sign_up()
    first, second = service.reset_token(user.email), service.reset_token(user.email)
    assert first != second and set_password(service, first) == 400 and set_password(service, second) == 200
    third = service.reset_token(user.email)
    service.run("users", "set-password", user.email, stdin="a wholly other password\n")
    assert set_password(service, third) == 400


def test_eml_05_purposes_do_not_mix(service):
    user = service.sign_up()
    reset = service.reset_token(user.email)
    service.post("/send-verification-email", {"email": user.email})
    verify = re.search(r"token=([^&\s]+)", service.link(user.email, VERIFY))[1]
    assert set_password(service, verify) == 400 and service.get("/verify-email", params={"token": reset}).status_code == 401
    assert user.get("/delete-user/callback", params={"token": reset}).status_code == 404
    assert set_password(service, reset) == 200


def test_eml_06_a_reset_signs_no_user_in(service):
    user = service.sign_up()
    service.do("users", "ban", user.email, "--yes")
    service.do("users", "unban", user.email)
    token = service.reset_token(user.email)
    service.do("users", "ban", user.email, "--yes")
    answer = service.post("/reset-password", {"token": token, "newPassword": NEW})
    assert "set-cookie" not in answer.headers and "token" not in answer.json()
    assert service.attempt(user.email, NEW).status_code == 403
    other = service.sign_up()
    set_password(service, service.reset_token(other.email))
    assert not other.is_in() and service.mail(other.email, PASSWORD_CHANGED)


def test_eml_07_the_token_alone(service):
    user = service.sign_up()
    for token in ("", "x", user.token, "null"):
        assert service.post("/reset-password", {"token": token, "newPassword": NEW, "email": user.email, "userId": user.id}).status_code == 400
    assert service.post("/reset-password", {"newPassword": NEW}).status_code == 400
    token, other = service.reset_token(user.email), service.sign_up()
    # Whose password is set the token says, whatever else stands beside it.
    assert service.post("/reset-password", {"token": token, "newPassword": NEW, "email": other.email, "userId": other.id}).status_code == 200
    assert service.attempt(user.email, NEW).status_code == 200 and other.is_in()


def test_eml_08_links_are_the_settings(service):
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Prefix": "/evil"}, {"Forwarded": "host=evil.example"}, {"X-Original-URL": "/evil"}):
        user = service.sign_up()
        service.post("/request-password-reset", {"email": user.email, "redirectTo": "/reset"}, headers=headers)
        link = service.link(user.email, RESET)
        assert link.startswith(service.issuer + "/api/auth/") and "evil" not in link


def test_eml_09_no_link_leads_to_a_foreign_site(service):
    user = service.sign_up()
    for target in ("//evil.example", "/\\evil.example", "/x/..//evil.example", "/.//evil.example", "https://app.example.com@evil.example", "https://app.example.com.evil.example", "javascript:alert(1)", "/\t/evil.example",
                   "https:evil.example", "http://app.example.com", "\\\\evil.example", "/%2f%2fevil.example/..//evil.example", "https://evil.example", "data:text/html,x", "/%0d%0aLocation:https://evil.example", "//%65vil.example"):
        asked = service.post("/request-password-reset", {"email": user.email, "redirectTo": target})
        answers = [asked, service.get("/verify-email", params={"token": "x", "callbackURL": target}), service.get("/reset-password/x", params={"callbackURL": target})]
        for answer in answers:
            location = answer.headers.get("location", "")
            assert httpx.URL(service.issuer).join(location).host in ("localhost", "app.example.com"), (target, location)


def test_eml_10_opening_uses_nothing_up(service):
    user = service.sign_up()
    token = service.reset_token(user.email)
    for _ in range(3):
        assert service.get(f"/reset-password/{token}", params={"callbackURL": "/reset"}).status_code == 302
        service.ask("HEAD", f"/reset-password/{token}", params={"callbackURL": "/reset"})
    assert set_password(service, token) == 200
    # As it would be proven, were opening it enough: in the user's own browser, too.
    other = service.browser()
    other.post("send-verification-email", json={"email": other.user.email})
    other.post("change-email", json={"newEmail": f"new{other.user.email}"})
    links = [service.link(f"new{other.user.email}", VERIFY_CHANGE), service.link(other.user.email, VERIFY)]
    for link in links:
        for client in (other, httpx.Client()):
            for method in ("HEAD", "GET", "GET"):
                answer = client.request(method, link.replace("localhost", "127.0.0.1"))
                assert answer.status_code == 200 and "session" not in answer.headers.get("set-cookie", ""), answer.text
                assert method == "HEAD" or ('method="post"' in answer.text and "<button" in answer.text)
    seen = other.get("session").json()["user"]
    assert (seen["email"], seen["emailVerified"]) == (other.user.email, False)


def test_eml_11_a_link_is_in_no_answer_and_no_log(service):
    user = service.sign_up()
    user.post("/change-email", {"newEmail": f"new{user.email}"})
    service.post("/send-verification-email", {"email": user.email})
    answer = httpx.get(service.link(user.email, VERIFY).replace("localhost", "127.0.0.1"))
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin") and answer.headers["cache-control"] == "no-store"
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//(?!localhost)""", answer.text)


def test_eml_12_no_header_comes_in(service):
    for name, address in (("x\r\nBcc: evil@example.org", f"crlf{next(NUMBERS)}@example.com"), ("x", f"crlf{next(NUMBERS)}%0aBcc:evil@example.com")):
        service.post("/sign-up/email", {"name": name, "email": address, "password": PASSWORD})
        service.post("/request-password-reset", {"email": address})
    service.settled()
    for mail in service.mails():
        assert len(mail.get_all("To")) == 1 and "Bcc" not in mail and "evil@" not in str(mail["To"])


def test_eml_13_words_are_no_template(service):
    user = service.sign_up(name="{{1234*1234}} ${1234*1234} <%=1234*1234%> {% raw %}")
    service.post("/request-password-reset", {"email": user.email})
    mail = service.mail(user.email, RESET)
    for part in ("plain", "html"):
        words = re.sub(r"https?://\S+", "", mail.get_body((part,)).get_content())
        assert "1522756" not in words


def test_eml_14_no_bombing(own):
    place = own("rate_limits.enabled=true")
    user = place.sign_up()
    for path in ("request-password-reset", "send-verification-email"):
        before = len(place.mails(user.email))
        for _ in range(3):
            assert place.post(f"/{path}", {"email": user.email}).status_code == 200, path
            # Each is sent before the next is asked for: what keeps the number small is the limit, not that a newer link replaces one that waits.
            place.settled()
        assert set(at_once(lambda: place.post(f"/{path}", {"email": user.email}).status_code, 47)) == {429}, path
        place.settled()
        assert len(place.mails(user.email)) - before == 3, path


def test_eml_14_whatever_asks_for_the_mails(own):
    # The requests themselves are not limited here, by address and by network; only the count of the recipient is.
    place = own("rate_limits.enabled=true", "rate_limits.mail_network=off", "rate_limits.sign_up=off")
    stranger = "stranger@example.org"
    users = [place.sign_up() for _ in range(6)]
    for user in users:
        assert user.post("/change-email", {"newEmail": stranger}).status_code == 200
        place.settled()
    assert len(place.mails(stranger)) == 3, "of six accounts, each with its own allowance"
    owner = place.sign_up("owner@example.org")
    token = place.reset_token(owner.email)
    assert token and set_password(place, token) == 200, "no kind uses up another"


def test_eml_14_no_notice_to_an_address_that_was_not_proven(service):
    user = service.sign_up()
    for number in range(5):
        current, new = (PASSWORD if number == 0 else f"good password {number}"), f"good password {number + 1}"
        assert user.post("/change-password", {"currentPassword": current, "newPassword": new}).status_code == 200
    service.settled()
    assert not service.mails(user.email)


def proven(service, user):
    """The user proves the mailbox, with the password."""
    count = len(service.mails_about(user.email, VERIFY)) + 1
    assert service.post("/send-verification-email", {"email": user.email}).status_code == 200
    assert service.follow(service.link(user.email, VERIFY, count), password=user.password).status_code == 303
    assert user.get("/session").json()["user"]["emailVerified"] is True


def test_eml_15_another_address(service):
    user = service.sign_up()
    other = service.sign_up()
    proven(service, user)
    fresh = f"fresh{next(NUMBERS)}@example.com"
    assert user.post("/change-email", {"newEmail": other.email}).status_code == 200
    assert user.post("/change-email", {"newEmail": fresh}).status_code == 200
    service.settled()
    assert service.follow(service.link(user.email, APPROVE_CHANGE)).status_code == 303, "the old address agrees"
    assert user.get("/session").json()["user"]["email"] == user.email, "until the new one is proven"
    link = service.link(fresh, VERIFY_CHANGE).replace("localhost", "127.0.0.1")
    httpx.get(link)
    assert user.get("/session").json()["user"]["email"] == user.email, "opening it changes nothing"
    assert service.follow(link, password=PASSWORD).status_code == 303
    assert user.is_in() and service.attempt(fresh).status_code == 200 and service.attempt(user.email).status_code == 401
    service.settled()
    assert fresh in service.mail(user.email, ADDRESS_CHANGED).get_body(("plain",)).get_content(), "the old one is told"
    assert service.attempt(other.email).json()["user"]["id"] == other.id


def test_eml_16_proven_by_the_mailbox_alone(service):
    user = service.sign_up()
    assert user.post("/update-user", {"emailVerified": True}).status_code == 400
    service.post("/send-verification-email", {"email": user.email})
    link = service.link(user.email, VERIFY)
    httpx.get(link.replace("localhost", "127.0.0.1"))
    assert user.get("/session").json()["user"]["emailVerified"] is False, "opening the link proves nothing"
    assert service.follow(link, password="a wrong password").status_code == 400
    assert user.get("/session").json()["user"]["emailVerified"] is False
    assert service.follow(link, password=PASSWORD).status_code == 303
    assert user.get("/session").json()["user"]["emailVerified"] is True
    service.do("users", "update", user.email, "--email", f"x{user.email}")
    assert service.sign_in(f"x{user.email}").answer["user"]["emailVerified"] is False


def test_eml_17_one_is_told(service):
    user = service.sign_up()
    proven(service, user)
    count = len(service.mails(user.email))
    assert user.post("/change-password", {"currentPassword": PASSWORD, "newPassword": NEW}).status_code == 200
    assert service.mail(user.email, PASSWORD_CHANGED)
    assert set_password(service, service.reset_token(user.email), "a third good password") == 200
    assert service.mail(user.email, PASSWORD_CHANGED, 2), "also by a reset"
    again = service.sign_in(user.email, "a third good password")
    service.rotate(again.refresh)
    service.later(user)
    assert service.rotate(again.refresh).json()["code"] == "REFRESH_TOKEN_REUSED"
    assert service.mail(user.email, SIGNED_OUT)
    service.settled()
    assert len(service.mails(user.email)) == count + 4, "one mail each"


def test_eml_17_of_a_new_device_where_it_is_asked_for(own):
    for asked in (True, False):
        place = own(f"mail.notify_new_sign_in={str(asked).lower()}")
        user = place.sign_up()
        proven(place, user)
        count = len(place.mails(user.email))
        place.sign_in(user.email, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"})
        place.settled()
        notices = place.mails(user.email)[count:]
        assert len(notices) == int(asked) and all("firefox" in n.get_body(("plain",)).get_content().lower() for n in notices), asked


def test_eml_18_no_mail_in_the_clear(own):
    place = own(start=False)
    for url in ("smtp://mail.example.com:25", "smtp://user:secret@mail.example.com:587?tls=opportunistic"):
        code, said = place.starts("mail.transport=smtp", f"mail.smtp_url={url}")
        assert code == 78 and "smtp_url" in said and "secret" not in said, said


def test_eml_19_a_black_hole_stops_no_other_mail(own):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as hole:
        # The mail server does not answer for longer than a client of ours waits: who waited for it would fail.
        place = own("mail.transport=smtp", f"mail.smtp_url=smtp://127.0.0.1:{hole.getsockname()[1]}", "mail.smtp_timeout=4m", "sign_up.require_email_verification=true")
        for n in range(20):
            assert place.post("/sign-up/email", {"name": "x", "email": f"u{n}@example.com", "password": PASSWORD}).status_code == 200
        assert place.rows("SELECT COUNT(*) FROM mails")[0][0] >= 19


def test_eml_20_tokens_are_in_mails_only(own):
    place = own("mail.smtp_timeout=1s")
    user = place.sign_up()
    answer = place.post("/request-password-reset", {"email": user.email, "redirectTo": "/reset"})
    token = re.search(r"reset-password/([^?\s]+)", place.link(user.email, RESET))[1]
    assert token not in answer.text and token not in place.log()
    assert token.encode() not in place.kept().read_bytes() + (place.folder / "data/countersign.db-wal").read_bytes()


def test_eml_21_mail_is_no_second_factor():
    assert "no second factor" in document("docs", "threat-model.md")
