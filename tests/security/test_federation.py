"""FED: sign-in with other providers: whose account opens, the way out and back, ID tokens, links."""

import hashlib
import hmac
import json
import re
import socket
import urllib.parse

import pytest
from phone import Phone
from place import PASSWORD, wait_for
from provider import Issuer, Visitor, b64
from service import EVIL, NUMBERS, Service

STRANGER = {"sub": "the-stranger", "name": "Stranger"}


def person(email: str | None = None, verified=True, **more) -> dict:
    number = next(NUMBERS)
    return {"sub": f"person-{number}", "email": email or f"person{number}@corp.example", "email_verified": verified, "name": "Eve", **more}


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def careless():
    """One that looks at no PKCE verifier."""
    issuer = Issuer(checks_pkce=False)
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def federated(tmp_path_factory, issuer, careless):
    """A service at which one signs in with `acme`, with `other`, and with `loose`, which is responsible for no domain."""
    settings = [*issuer.settings("acme", "domains=corp.example"), *careless.settings("other", "domains=corp.example"), *issuer.settings("loose")]
    service = Service(tmp_path_factory.mktemp("federated"), ["mail.transport=file", "server.trusted_origins=https://app.example.com", "log.level=trace", *settings])
    service.serve()
    wait_for(lambda: Visitor(service).enter(issuer, **person()).startswith("/new"))
    wait_for(lambda: Visitor(service).enter(careless, "other", **person()).startswith("/new"))
    yield service
    service.stop()


def made(service: Service, email: str, password: str = PASSWORD) -> None:
    """A user whose mailbox is verified."""
    done = service.run("users", "create", email, "--name", "Ana", "--email-verified", stdin=f"{password}\n")
    assert done.returncode == 0, done.stderr


def signed_in(service: Service, email: str) -> Visitor:
    visitor = Visitor(service)
    answer = visitor.client.post("sign-in/email", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return visitor


def test_fed_01_a_way_back_of_another_browser(federated, issuer):
    attacker, victim = Visitor(federated), Visitor(federated)
    mine = issuer.back(attacker.begin(), **person())
    assert victim.come(mine).endswith("error=state_mismatch") and victim.user() is None, "the victim would type secrets into the attacker's account"
    # A browser that has begun a sign-in of its own does not take another's either.
    victim.begin()
    assert victim.come(mine).endswith("error=state_mismatch") and victim.user() is None
    assert attacker.come(mine).startswith("/new") and attacker.user()


def test_fed_02_a_code_of_another_browser(federated, issuer, careless):
    for provider, at in (("acme", issuer), ("other", careless)):
        attacker, victim = Visitor(federated), Visitor(federated)
        stolen = at.back(victim.begin(provider), **person())
        code = re.search(r"code=([^&]+)", stolen)[1]
        own = at.back(attacker.begin(provider), **person())
        injected = re.sub(r"code=[^&]+", f"code={code}", own)
        # PKCE binds the code to the browser that began; where a provider does not look, the nonce does.
        said = attacker.come(injected)
        assert said.startswith("/sorry?error=") and re.search(r"invalid_code|unable_to_get_user_info", said), said
        assert attacker.user() is None
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(Visitor(federated).begin()).query))
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43 and len(asked["nonce"]) >= 32 and len(asked["state"]) >= 32


def test_fed_03_a_state_is_good_once(federated, issuer, own):
    visitor = Visitor(federated)
    away = visitor.begin()
    cookies = dict(visitor.client.cookies)
    way = issuer.back(away, **person())
    assert visitor.come(way).startswith("/new")
    # The cookie was copied before; the provider would even take the code again.
    copy = Visitor(federated)
    for name, value in cookies.items():
        copy.client.cookies.set(name, value)
    assert "error=state_mismatch" in copy.come(issuer.back(away, **person())) and copy.user() is None
    # It is sealed, and no text of it can be changed.
    bent = Visitor(federated)
    way = issuer.back(bent.begin(), **person())
    name = next(name for name in bent.client.cookies if ".upstream." in name)
    value = bent.client.cookies[name]
    bent.client.cookies.delete(name)
    bent.client.cookies.set(name, value[:-2] + ("AA" if value[-2:] != "AA" else "BB"))
    assert "error=state_mismatch" in bent.come(way)


def test_fed_03_and_only_for_ten_minutes(own, issuer):
    place = own(*issuer.settings("acme", "domains=corp.example"), start=False)
    place.serve(clock=-1200)
    wait_for(lambda: issuer.asked.count("/jwks") > 0)
    visitor = Visitor(place)
    away = wait_for(lambda: visitor.client.post("sign-in/social", json={"provider": "acme", "errorCallbackURL": "/sorry"}).json().get("url"))
    place.stop_and_settle()
    place.serve()
    assert "error=state_mismatch" in visitor.come(issuer.back(away, **person())) and visitor.user() is None


def test_fed_04_a_mixed_up_provider(federated, issuer, careless):
    visitor = Visitor(federated)
    way = issuer.back(visitor.begin(), **person())
    at_other = way.replace("/callback/acme", "/callback/other")
    assert "error=state_mismatch" in visitor.come(at_other), "the code of one would go to the other"
    assert "error=state_mismatch" in visitor.come(way.replace("/callback/acme", "/callback/nowhere"))
    before = len(careless.asked)
    for bad in (careless.url, issuer.url + "/", EVIL):
        way = issuer.back(visitor.begin(), **person())
        assert "error=issuer_mismatch" in visitor.come(re.sub(r"iss=[^&]+", f"iss={urllib.parse.quote(bad, safe='')}", way)), bad
    way = issuer.back(visitor.begin(), **person())
    assert "error=issuer_mismatch" in visitor.come(re.sub(r"&iss=[^&]+", "", way)), "its metadata say that it sends `iss`"
    assert visitor.user() is None and len(careless.asked) == before
    assert visitor.enter(issuer, **person()).startswith("/new")


def test_fed_05_an_id_token_is_good_once(federated, issuer):
    def sign_in(token: str, **more):
        return federated.post("/sign-in/social", {"provider": "acme", "idToken": {"token": token, **more}, "tokenDelivery": "body"})

    good = issuer.sign(issuer.claims(**person(), aud="phone", nonce="a nonce"))
    assert sign_in(good, nonce="a nonce").status_code == 200
    again = sign_in(good, nonce="a nonce")
    assert (again.status_code, again.json()["code"]) == (401, "INVALID_TOKEN"), "a copy of it signs no other device in"


def test_fed_05_and_only_if_all_of_it_is_right(federated, issuer, careless):
    now = issuer.claims()["iat"]
    public = issuer.jwk()
    bent = {
        "another client": {"aud": "stranger"}, "no audience": {"aud": ...}, "two audiences, and no party": {"aud": ["countersign", "stranger"]},
        "two audiences, and another party": {"aud": ["countersign", "stranger"], "azp": "stranger"}, "another issuer": {"iss": EVIL}, "an issuer with a slash": {"iss": issuer.url + "/"},
        "over": {"exp": now - 120}, "no end": {"exp": ...}, "an end in words": {"exp": str(now + 300)}, "old": {"iat": now - 1_200}, "of the future": {"iat": now + 600}, "no subject": {"sub": ...},
        "an empty subject": {"sub": ""}, "a long subject": {"sub": "x" * 256}, "another nonce": {"nonce": "another"}, "a nonce that was not said": {"nonce": "n"},
    }
    said = {}
    for name, claims in bent.items():
        more = {"nonce": "a nonce"} if name == "another nonce" else {}
        token = issuer.sign(issuer.claims(**{**person(), **claims}))
        said[name] = federated.post("/sign-in/social", {"provider": "acme", "idToken": {"token": token, **more}}).status_code
    claims = issuer.claims(**person())
    head = {"alg": "HS256", "kid": issuer.kid}
    signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    by_public = b64(hmac.new(json.dumps(public).encode(), signed.encode(), hashlib.sha256).digest())
    by_secret = b64(hmac.new(b"a-secret-of-the-provider", signed.encode(), hashlib.sha256).digest())
    tokens = {
        "none": issuer.sign(claims, {"alg": "none"}, b""), "HS256 with the public key": f"{signed}.{by_public}", "HS256 with the client secret": f"{signed}.{by_secret}",
        "an unknown key": issuer.sign(claims, {"alg": "ES256", "kid": "another"}), "another issuer's key": careless.sign(claims, {"alg": "ES256", "kid": issuer.kid}),
        "another algorithm": issuer.sign(claims, {"alg": "RS256", "kid": issuer.kid}), "a critical member": issuer.sign(claims, {"alg": "ES256", "kid": issuer.kid, "crit": ["x"], "x": 1}),
        "a signature that is bent": issuer.sign(claims)[:-4] + "AAAA", "two parts": issuer.sign(claims).rsplit(".", 1)[0], "a long one": issuer.sign({**claims, "x": "y" * 20_000}), "an access token of ours": federated.sign_up().access,
    }
    for name, token in tokens.items():
        said[name] = federated.post("/sign-in/social", {"provider": "acme", "idToken": {"token": token}}).status_code
    assert {name: status for name, status in said.items() if status not in (400, 401)} == {}
    # The same by the way back, where the provider itself says it.
    for claims in ({"aud": "stranger"}, {"iss": EVIL}, {"exp": now - 120}, {"nonce": "another"}, {"nonce": ...}, {"sub": ...}):
        visitor = Visitor(federated)
        assert "error=unable_to_get_user_info" in visitor.enter(issuer, **{**person(), **claims}), claims
        assert visitor.user() is None
    assert federated.post("/sign-in/social", {"provider": "acme", "idToken": {"token": issuer.sign(issuer.claims(**person()))}}).status_code == 200


def test_fed_05_and_userinfo_is_of_the_same_subject(federated, issuer):
    who = person()
    bare = {"sub": who["sub"]}
    for said, leads in (({**who, "sub": "another"}, "/sorry?error=unable_to_get_user_info"), ({"email": who["email"], "email_verified": True}, "/sorry?error=unable_to_get_user_info"), (who, "/new")):
        issuer.userinfo = said
        visitor = Visitor(federated)
        assert visitor.enter(issuer, **bare) == leads, said
    assert visitor.user()["email"] == who["email"]
    issuer.userinfo = {}


def test_fed_06_no_url_leads_elsewhere(federated, issuer):
    def ask(path, **more):
        return visitor.client.post(path, json={"provider": "acme", **more})

    visitor = Visitor(federated)
    made(federated, "fed06@example.com")
    owner = signed_in(federated, "fed06@example.com")
    for bad in (f"{EVIL}/x", "//evil.example", "/\\evil.example", "javascript:alert(1)", "https://app.example.com.evil.example/", "https://app.example.com@evil.example/", "\t//evil.example", "data:text/html,x"):
        for name in ("callbackURL", "newUserCallbackURL", "errorCallbackURL"):
            answer = ask("sign-in/social", **{name: bad})
            assert answer.status_code in (400, 403) and "upstream" not in answer.headers.get("set-cookie", ""), (bad, name, answer.text)
        for name in ("callbackURL", "errorCallbackURL"):
            assert owner.client.post("link-social", json={"provider": "acme", name: bad}).status_code in (400, 403), (bad, name)
    # Those that are allowed are taken as they are, and none is taken from the way back.
    way = issuer.back(visitor.begin(callbackURL="https://app.example.com/in", newUserCallbackURL="https://app.example.com/new"), **person())
    assert visitor.come(f"{way}&callbackURL={EVIL}&redirect_uri={EVIL}") == "https://app.example.com/new"
    assert "evil.example" not in Visitor(federated).come(f"/callback/acme?state=x&code=y&errorCallbackURL={EVIL}")
    # Nor can a client say where the provider sends the code.
    for name in ("redirect_uri", "client_id", "state", "response_type", "scope", "nonce", "code_challenge"):
        assert ask("sign-in/social", additionalParams={name: EVIL}).status_code == 400, name


def test_fed_07_nothing_of_an_error_is_repeated(federated, issuer):
    for error in ("<script>alert(1)</script>", "call 555-0100", "ACCESS_DENIED", "x" * 900, "access_denied&error=y"):
        visitor = Visitor(federated)
        state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(visitor.begin()).query))["state"]
        query = urllib.parse.urlencode({"error": error, "error_description": "call 555-0100 now", "error_uri": EVIL, "state": state, "iss": issuer.url})
        said = visitor.come(f"/callback/acme?{query}")
        assert said == "/sorry?error=upstream_error"
        page = federated.get(f"/error?{urllib.parse.urlencode({'error': error, 'error_description': 'call 555-0100 now'})}")
        assert "555-0100" not in page.text and "<script>alert" not in page.text
    visitor = Visitor(federated)
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(visitor.begin()).query))["state"]
    said = visitor.come(f"/callback/acme?{urllib.parse.urlencode({'error': 'access_denied', 'error_description': 'call 555-0100', 'state': state, 'iss': issuer.url})}")
    assert said == "/sorry?error=access_denied"


def test_fed_08_a_squatter_keeps_nothing(federated, issuer):
    address = f"owner{next(NUMBERS)}@corp.example"
    squatter = federated.sign_up(address, name="Squatter")
    in_browser = signed_in(federated, address)
    # Of a provider that is not responsible for the domain the owner is told to prove the account.
    visitor = Visitor(federated)
    assert visitor.enter(issuer, "loose", **person(address)) == "/sorry?error=account_not_linked" and visitor.user() is None
    assert squatter.is_in()
    owner = Visitor(federated)
    who = person(address)
    assert owner.enter(issuer, **who).startswith(("/in", "/new"))
    user = owner.user()
    assert (user["email"], user["emailVerified"]) == (address, True) and user["name"] != "Squatter"
    assert not squatter.is_in() and in_browser.user() is None
    assert federated.rotate(squatter.refresh).status_code == 401
    assert federated.attempt(address).status_code == 401, "the squatter's password is gone"
    assert owner.accounts() == ["acme"]
    again = Visitor(federated)
    assert again.enter(issuer, **who).startswith("/in") and again.user()["id"] == user["id"]


def test_fed_09_discovery_reaches_no_inner_address(own):
    inner = Issuer()
    outer = Issuer()
    outer.metadata["moved"] = f"{inner.url}/.well-known/openid-configuration"
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    closed.listen(8)
    closed.settimeout(0.2)
    port = closed.getsockname()[1]
    # Without `allow_private` a private address is not even connected to, by whatever name it is found.
    place = own(*outer.settings("moved"), *[f"upstream.near.{one}" for one in ("kind=oidc", f"issuer=https://localhost:{port}", "client_id=x")])
    for provider in ("moved", "near"):
        said = wait_for(lambda p=provider: (answer := place.post("/sign-in/social", {"provider": p})).status_code != 200 and answer)
        assert said.status_code == 503, said.text
    wait_for(lambda: "/.well-known/openid-configuration" in outer.asked)
    assert inner.asked == [], "a redirect is not followed"
    with pytest.raises(TimeoutError):
        closed.accept()
    closed.settimeout(20)
    allowed = own(*[f"upstream.near.{one}" for one in ("kind=oidc", f"issuer=https://localhost:{port}", "client_id=x", "allow_private=true")])
    allowed.post("/sign-in/social", {"provider": "near"})
    closed.accept()[0].close()
    # Names in the document of an issuer are checked like its own: here the keys would be read from plain http elsewhere, and from a file.
    for bad in ("http://169.254.169.254/latest", "file:///etc/passwd", "gopher://localhost/x"):
        liar = Issuer()
        liar.metadata["jwks_uri"] = bad
        liar.metadata["token_endpoint"] = bad
        place = own(*liar.settings("acme", "domains=corp.example"))
        wait_for(lambda liar=liar: liar.asked)
        assert place.post("/sign-in/social", {"provider": "acme"}).status_code == 503, bad
        liar.close()
    # No address of a client or of a claim is fetched.
    honest = Issuer()
    place = own(*honest.settings("acme", "domains=corp.example"))
    wait_for(lambda: place.post("/sign-in/social", {"provider": "acme"}).status_code == 200)
    visitor = Visitor(place)
    assert visitor.enter(honest, **person(picture=f"{inner.url}/picture.png", jku=f"{inner.url}/jwks", profile=f"{inner.url}/me")).startswith("/new")
    assert inner.asked == []
    for one in (inner, outer, honest):
        one.close()
    closed.close()


def test_fed_10_a_claim_opens_no_account(federated, issuer):
    address = f"victim{next(NUMBERS)}@corp.example"
    made(federated, address)
    elsewhere = f"victim{next(NUMBERS)}@example.com"
    made(federated, elsewhere)
    for provider, email, verified in (("acme", address, False), ("acme", address, ...), ("acme", address, None), ("acme", address, "false"), ("acme", address, 1), ("acme", address.upper(), False),
                                      ("loose", address, True), ("acme", elsewhere, True), ("acme", f"x@corp.example@{elsewhere}", True), ("acme", f"{elsewhere}\x00@corp.example", True),
                                      ("acme", [address], True), ("acme", f"<{address}>", False)):
        visitor = Visitor(federated)
        said = visitor.enter(issuer, provider, **{**STRANGER, "sub": f"s{next(NUMBERS)}", "email": email, "email_verified": verified})
        found = visitor.user()
        assert not found or found["email"] not in (address, elsewhere), (provider, email, verified, said)
        assert said.startswith("/sorry?error=") or found, said
    # The user of a subject stays the one who was connected, whatever email address comes with it.
    stranger = person(f"stranger{next(NUMBERS)}@corp.example")
    Visitor(federated).enter(issuer, **stranger)
    visitor = Visitor(federated)
    visitor.enter(issuer, **{**stranger, "email": address})
    assert visitor.user()["email"] == stranger["email"]
    # The subject of one provider is not that of another.
    visitor = Visitor(federated)
    visitor.enter(issuer, "loose", **{**stranger, "email": f"other{next(NUMBERS)}@example.com"})
    assert visitor.user()["email"] != stranger["email"]
    owner = Visitor(federated)
    assert owner.enter(issuer, **person(address)).startswith("/in") and owner.user()["email"] == address


def test_fed_11_the_second_factor_is_asked_for_and_nothing_is_connected_before(federated, issuer):
    address = f"twofactor{next(NUMBERS)}@corp.example"
    made(federated, address)
    owner = signed_in(federated, address)
    begun = owner.client.post("two-factor/enable", json={"password": PASSWORD}).json()
    phone = Phone(begun)
    assert owner.client.post("two-factor/verify-totp", json={"code": phone.code()}).status_code == 200
    who = person(address)
    visitor = Visitor(federated)
    said = visitor.enter(issuer, **who)
    assert "error=" not in said and not said.startswith(("/in", "/new")) and visitor.user() is None, said
    assert owner.accounts() == ["credential"], "a visitor without the second factor has connected nothing"
    assert visitor.client.post("two-factor/verify-totp", json={"code": phone.code()}).status_code == 200
    assert visitor.user()["email"] == address and visitor.accounts() == ["acme", "credential"]


def test_fed_12_a_link_belongs_to_the_session_that_began_it(federated, issuer):
    first, second = f"first{next(NUMBERS)}@corp.example", f"second{next(NUMBERS)}@corp.example"
    for address in (first, second):
        made(federated, address)
    attacker, victim = signed_in(federated, first), signed_in(federated, second)
    # Begun by the attacker, finished in the victim's browser: the attacker could sign in as the victim from then on.
    way = issuer.back(attacker.link(), **person(first))
    assert "error=state_mismatch" in victim.come(way) and victim.accounts() == ["credential"]
    for name, value in list(attacker.client.cookies.items()):
        if ".upstream." in name:
            victim.client.cookies.set(name, value)
    assert "error=unable_to_link_account" in victim.come(way) and victim.accounts() == ["credential"]
    # Signed out meanwhile.
    way = issuer.back(attacker.link(), **person(first))
    attacker.client.post("sign-out", json={})
    assert "error=unable_to_link_account" in attacker.come(way)
    attacker = signed_in(federated, first)
    # The browser is signed in at the provider as another person: a page asks, and nothing is connected.
    said = attacker.come(issuer.back(attacker.link(), **person(f"eve{next(NUMBERS)}@corp.example")))
    assert said.startswith("/auth/account/connect?") and attacker.accounts() == ["credential"], said
    assert attacker.come(issuer.back(attacker.link(), **person(first))).startswith("/in")
    assert attacker.accounts() == ["acme", "credential"]


def test_fed_13_the_last_way_in_stays_and_changes_need_a_fresh_session(own, issuer):
    place = own(*issuer.settings("acme", "domains=corp.example"), "sign_in.by_mail=false")
    wait_for(lambda: place.post("/sign-in/social", {"provider": "acme"}).status_code == 200)
    visitor = Visitor(place)
    assert visitor.enter(issuer, **person()).startswith("/new")
    row = visitor.client.get("list-accounts").json()[0]["id"]
    answer = visitor.client.post("unlink-account", json={"accountId": row})
    assert (answer.status_code, answer.json()["code"]) == (400, "FAILED_TO_UNLINK_LAST_ACCOUNT") and visitor.accounts() == ["acme"]
    made(place, "fed13@corp.example")
    owner = signed_in(place, "fed13@corp.example")
    assert owner.client.post("unlink-account", json={"accountId": row}).json()["code"] in ("ACCOUNT_NOT_FOUND", "FAILED_TO_UNLINK_LAST_ACCOUNT") and visitor.accounts() == ["acme"]
    assert owner.come(issuer.back(owner.link(), **person("fed13@corp.example"))).startswith("/in")
    rows = {account["providerId"]: account["id"] for account in owner.client.get("list-accounts").json()}
    assert owner.client.post("unlink-account", json={"accountId": rows["acme"]}).status_code == 200 and owner.accounts() == ["credential"]
    assert owner.come(issuer.back(owner.link(), **person("fed13@corp.example"))).startswith("/in")
    rows = {account["providerId"]: account["id"] for account in owner.client.get("list-accounts").json()}
    place.stop_and_settle()
    place.serve(clock=2 * 86_400)
    for path, body in (("link-social", {"provider": "acme"}), ("unlink-account", {"accountId": rows["acme"]})):
        answer = owner.client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "SESSION_NOT_FRESH"), path


def test_fed_14_tokens_of_providers_are_kept_nowhere(federated, issuer):
    visitor = Visitor(federated)
    assert visitor.enter(issuer, **person()).startswith("/new")
    secrets = [*issuer.tokens, "a-secret-of-the-provider"]
    assert len(secrets) > 2
    for file in [path for path in federated.folder.rglob("*") if path.is_file()]:
        kept = file.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in kept], file
    assert "code_verifier" not in federated.log() and not re.search(r"code-\d+", federated.log())
    account = visitor.client.get("list-accounts").json()[0]["id"]
    for path, code in (("get-access-token", "ACCESS_TOKEN_NOT_FOUND"), ("refresh-token", "REFRESH_TOKEN_NOT_FOUND")):
        assert visitor.client.post(path, json={"accountId": account}).json()["code"] == code
    assert visitor.client.get("account-info", params={"accountId": account}).json()["code"] == "ACCESS_TOKEN_NOT_FOUND"


def test_fed_15_the_cookie_of_the_way_out(own, issuer):
    place = own(*issuer.settings("acme"), start=False)
    place.issuer = "https://auth.example.com"
    place.serve()
    answer = wait_for(lambda: (got := place.post("/sign-in/social", {"provider": "acme"})).status_code == 200 and got)
    line = next(line for line in answer.headers.get_list("set-cookie") if ".upstream." in line)
    assert line.startswith("__Secure-") and all(part in line for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/api/auth/callback")) and "Domain" not in line
    assert 590 <= int(re.search(r"Max-Age=(\d+)", line)[1]) <= 600
    long = "/" + "x" * 1_500
    answer = place.post("/sign-in/social", {"provider": "acme", "callbackURL": long, "newUserCallbackURL": long, "errorCallbackURL": long})
    assert (answer.status_code, answer.json()["code"]) == (400, "URL_TOO_LONG"), "a browser would drop the cookie"


def test_fed_16_what_happens_is_recorded_and_told(federated, issuer):
    address = f"told{next(NUMBERS)}@corp.example"
    made(federated, address)
    owner = signed_in(federated, address)
    user = owner.user()["id"]
    assert owner.come(issuer.back(owner.link(), **person(address))).startswith("/in")
    row = {account["providerId"]: account["id"] for account in owner.client.get("list-accounts").json()}["acme"]
    assert owner.client.post("unlink-account", json={"accountId": row}).status_code == 200
    kinds = [event["kind"] for event in federated.audit(user=user)]
    assert "upstream.linked" in kinds and "upstream.unlinked" in kinds, kinds
    wait_for(lambda: len(federated.mails(address)) >= 2)


EVENT = "http://schemas.openid.net/event/backchannel-logout"


def test_fed_17_only_a_logout_token_ends_sessions(federated, issuer, careless):
    def said(provider: str = "acme", header: dict | None = None, by=issuer, **claims):
        whole = by.claims(**{"jti": f"jti-{next(NUMBERS)}", "events": {EVENT: {}}, **claims})
        token = by.sign(whole, header or {"alg": "ES256", "kid": by.kid, "typ": "logout+jwt"})
        return federated.ask("POST", f"/upstream/{provider}/logout", data={"logout_token": token}), token

    who = person(sid="a session")
    visitor, other = Visitor(federated), Visitor(federated)
    assert visitor.enter(issuer, **who).startswith("/new") and other.enter(issuer, **person(sid="another")).startswith("/new")
    named = {"sub": who["sub"], "sid": "a session"}
    now = issuer.claims()["iat"]
    bent = {
        "a nonce": {"nonce": "n"}, "no event": {"events": {}}, "no jti": {"jti": ...}, "another client": {"aud": "stranger"}, "another issuer": {"iss": EVIL}, "old": {"iat": now - 700},
        "expired": {"exp": now - 120}, "no name": {"sub": ..., "sid": ...}, "another type": {"header": {"alg": "ES256", "kid": issuer.kid, "typ": "at+jwt"}},
        "another key": {"by": careless, "iss": issuer.url, "header": {"alg": "ES256", "kid": issuer.kid, "typ": "logout+jwt"}}, "none": {"header": {"alg": "none"}},
    }
    for name, claims in bent.items():
        answer, _ = said(**{**named, **claims})
        assert answer.status_code == 400 and set(answer.json()) == {"error", "error_description"}, (name, answer.text)
    id_token = issuer.sign(issuer.claims(**named, nonce="n"))
    assert federated.ask("POST", "/upstream/acme/logout", data={"logout_token": id_token}).status_code == 400
    # A good one for another provider, or of one, ends nothing of this one.
    assert said("loose", **named)[0].status_code == 200
    assert said("other", by=careless, **named)[0].status_code == 200
    assert said("nowhere", **named)[0].status_code == 404
    assert visitor.user(), "none of them was the issuer's word"
    answer, token = said(**named)
    assert (answer.status_code, answer.text, answer.headers["cache-control"]) == (200, "", "no-store")
    assert visitor.user() is None and other.user()
    assert federated.post("/sign-in/social", {"provider": "acme", "idToken": {"token": token}}).status_code == 401, "it is no id token"
    assert visitor.enter(issuer, **who).startswith("/in")
    assert federated.ask("POST", "/upstream/acme/logout", data={"logout_token": token}).status_code == 400 and visitor.user(), "a copy of it"


def test_fed_18_a_posted_answer_is_of_a_provider_that_posts(own, issuer):
    place = own(*issuer.settings("acme", "domains=corp.example"), *issuer.settings("forms", "domains=corp.example", "response_mode=form_post"))
    wait_for(lambda: place.post("/sign-in/social", {"provider": "forms"}).status_code == 200)
    visitor = Visitor(place)
    way = issuer.back(visitor.begin("forms"), **person())
    # The cookie is `Secure`, and goes to loopback by http as well in a browser; the client of this test keeps it back.
    kept = next(cookie for cookie in visitor.client.cookies.jar if ".upstream." in cookie.name)
    assert kept.secure and kept.get_nonstandard_attr("SameSite") == "None"
    state = {"Cookie": f"{kept.name}={kept.value}"}
    foreign = {"Origin": issuer.url, "Sec-Fetch-Site": "cross-site", **state}
    fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(way).query))
    assert visitor.client.post("callback/acme", data=fields, headers=foreign).status_code == 403, "its answers come by a redirect"
    asked = issuer.asked.count("/token")
    page = visitor.client.post("callback/forms", data=fields, headers=foreign)
    assert page.status_code == 200 and fields["code"] in page.text and page.headers["cache-control"] == "no-store"
    assert "form-action 'self'" in page.headers["content-security-policy"] and issuer.asked.count("/token") == asked and visitor.user() is None
    done = visitor.client.post("callback/forms", data={**fields, "sentFromHere": "yes"}, headers={"Sec-Fetch-Site": "same-origin", **state})
    assert done.status_code == 303 and done.headers["location"].removeprefix(place.issuer).startswith("/new") and visitor.user()
