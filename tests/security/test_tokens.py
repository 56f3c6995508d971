"""TOK: access tokens. OAU: the endpoints of RFC 6749 and its family."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from service import SESSION_COOKIE, b64, decode, unb64


@pytest.fixture(scope="module")
def user(forger):
    user = forger.sign_up()
    assert decode(user.access)[0]["kid"] == forger.kid()
    return user


def refused(forger, token: str):
    """The token is refused; every test that asks this has a token of the same maker that is accepted."""
    answer = forger.who(token)
    assert answer.status_code == 401, (answer.status_code, token[:200])
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_tok_01_no_other_algorithm(forger, user):
    x = forger.key.public_key()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(x.public_bytes_raw())}
    encodings = [(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo), (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)]
    secrets = [x.public_bytes_raw(), jwk["x"].encode(), json.dumps(jwk).encode(), b"", *(x.public_bytes(*e) for e in encodings)]
    payload = user.access.split(".")[1]
    assert forger.who(forger.forge(user)).status_code == 200, "what follows is refused for its algorithm alone"
    for alg in ("none", "NoNe", "", None, "HS256", "RS256", "ES256", "Ed25519", "eddsa"):
        head = b64(json.dumps({"typ": "at+jwt", "kid": forger.kid(), **({"alg": alg} if alg is not None else {})}).encode())
        refused(forger, f"{head}.{payload}.")
        refused(forger, f"{head}.{payload}.{b64(forger.key.sign(f'{head}.{payload}'.encode()))}")
        for secret in secrets:
            refused(forger, f"{head}.{payload}.{b64(hmac.digest(secret, f'{head}.{payload}'.encode(), hashlib.sha256))}")


def test_tok_02_an_explicit_type(forger, user):
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert forger.who(forger.forge(user, {"typ": typ, "alg": "EdDSA", "kid": forger.kid()})).status_code == 200
    for typ in ("JWT", ..., "refresh+jwt", "", None, "at+jwt "):
        refused(forger, forger.forge(user, {"typ": typ, "alg": "EdDSA", "kid": forger.kid()}))


def test_tok_03_the_claims_are_there(service):
    _, claims = decode(service.sign_up().access)
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "sid"} <= claims.keys()
    assert claims["client_id"] == claims["aud"], "the default client of the audience"
    assert all(type(claims[name]) is int for name in ("exp", "iat", "auth_time"))


def test_tok_04_an_audience_always(forger, user, own):
    assert decode(user.access)[1]["aud"]
    assert forger.who(forger.forge(user)).status_code == 200
    for audience in (..., [], [""], "", "https://api-2.example", ["https://api-2.example"], 0, {}, None):
        refused(forger, forger.forge(user, aud=audience))
    several = own("tokens.audience=https://api-1.example,https://api-2.example")
    token = several.sign_up().access
    assert decode(token)[1]["aud"] == ["https://api-1.example", "https://api-2.example"] and several.who(token).status_code == 200


def test_tok_05_the_issuer_is_that_of_the_metadata(forger, user):
    issuer = forger.get("/.well-known/openid-configuration").json()["issuer"]
    assert decode(user.access)[1]["iss"] == issuer and forger.who(forger.forge(user, iss=issuer)).status_code == 200
    for other in (issuer + "/", issuer[:-1], issuer.upper(), [issuer], "", ..., f"{issuer}.evil.example"):
        refused(forger, forger.forge(user, iss=other))


def test_tok_06_a_short_life(service):
    user = service.sign_up()
    claims = decode(user.access)[1]
    assert claims["exp"] - claims["iat"] <= 905 and 0 < user.answer["expiresIn"] <= 900
    code, said = service.starts("tokens.access_ttl=86401s")
    assert code == 78 and "tokens.access_ttl" in said


def test_tok_07_claims_of_the_wrong_type(forger, user):
    now = int(time.time())
    for value in (str(now + 60), [], {}, True, None, -1, 0, 1.5, 1e20, 2**62, 2**63, 2**64, now + 90_000, ...):
        refused(forger, forger.forge(user, exp=value))
    for raw in (b"1e400", b"9.9e307", b"NaN"):
        payload = unb64(forger.forge(user, exp=7).split(".")[1]).replace(b'"exp": 7', b'"exp": ' + raw)
        refused(forger, forger.forge(user, payload=payload))
    for claims in ({"iat": "soon"}, {"iat": 2**62}, {"iat": now + 600}, {"nbf": "soon"}, {"nbf": now + 600}, {"sub": 1}, {"sub": ""}, {"sid": 1}, {"sid": ...}, {"jti": 5}, {"nbf": 1}, {"scope": "admin"}):
        refused(forger, forger.forge(user, **claims))


def test_tok_08_little_leeway(forger, user):
    now = int(time.time())
    for ago in (1, 31, 70):
        refused(forger, forger.forge(user, exp=now - ago))
    answer = forger.sign_in(user.email)
    assert decode(answer.access)[1]["iat"] <= now + 1 and "nbf" not in decode(answer.access)[1]


def test_tok_09_every_jti_is_another(service):
    user = service.sign_up()
    ids = [decode(user.get("/token").json()["token"])[1]["jti"] for _ in range(200)]
    assert len(set(ids)) == 200 and all(len(i.replace("-", "")) == 32 for i in ids)


def test_tok_10_sub_says_nothing_and_stays(service):
    user = service.sign_up()
    assert decode(user.access)[1]["sub"] == user.id and user.email not in user.id
    service.do("users", "update", user.email, "--email", "other" + user.email)
    assert decode(service.sign_in("other" + user.email).access)[1]["sub"] == user.id
    service.do("users", "delete", "other" + user.email, "--yes")
    assert service.sign_up("other" + user.email).id != user.id


def test_tok_11_no_more_than_needed(service):
    claims = decode(service.sign_up().access)[1]
    assert claims.keys() == {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "sid", "auth_time", "acr", "amr", "email", "email_verified", "name", "role", "roles", "permissions"}


def test_tok_12_roles_follow_at_the_next_refresh(service):
    admin = service.admin()
    assert decode(admin.access)[1]["roles"] == ["admin"]
    service.admin()  # another one, so that this one may go
    service.do("users", "set-role", admin.email, "user")
    assert decode(service.rotate(admin.refresh).json()["accessToken"])[1]["roles"] == ["user"]


def test_tok_13_auth_time_stays(service):
    user = service.sign_up()
    before, token = decode(user.access)[1]["auth_time"], user.refresh
    for _ in range(3):
        service.later(user)
        answer = service.rotate(token).json()
        token = answer.get("refreshToken", token)
        assert decode(answer["accessToken"])[1]["auth_time"] == before
    assert token != user.refresh


def test_tok_14_keys_in_headers_are_not_looked_at(forger, user):
    good = {"typ": "at+jwt", "alg": "EdDSA", "kid": forger.kid()}
    assert forger.who(forger.forge(user, good)).status_code == 200
    for name, value in {"jku": f"{forger.base}/api/auth/jwks", "x5u": "http://127.0.0.1/", "jwk": {"kty": "OKP"}, "x5c": ["AA"], "crit": ["exp"], "b64": False, "zip": "DEF"}.items():
        refused(forger, forger.forge(user, {**good, name: value}))


def test_tok_15_a_kid_is_a_name(forger, user):
    assert forger.who(forger.forge(user, {"typ": "at+jwt", "alg": "EdDSA", "kid": forger.kid()})).status_code == 200
    for kid in ("../../dev/null", "x' OR 1=1--", "a" * 20_000, "a\r\nb", ..., "", None, 5):
        head = {"typ": "at+jwt", "alg": "EdDSA", "kid": kid}
        assert forger.who(forger.forge(user, head)).status_code == 401
    for kid in ("../../dev/null", "x' OR 1=1--"):
        refused(forger, forger.forge(user, {"typ": "at+jwt", "alg": "EdDSA", "kid": kid}))


def test_tok_16_compact_and_bounded(forger, user):
    assert forger.who(user.access).status_code == 200
    head, payload, signature = user.access.split(".")
    for token in (f"{head}.{payload}", f"{head}.{payload}.{signature}.a.b", f"{head}=.{payload}.{signature}", f"{head}.{payload}.{signature}=", "." * 8_000, ".", "a.b.c"):
        assert forger.who(token).status_code == 401, token[:80]
    assert forger.who("." * 100_000).status_code == 431
    whole = json.dumps({"payload": payload, "protected": head, "signature": signature})
    assert forger.get("/session", headers={"Authorization": f"Bearer {whole}"}).status_code == 401


def test_tok_17_one_way_to_write_a_signature(forger, user):
    assert forger.who(forger.forge(user)).status_code == 200
    head, payload, signature = forger.forge(user).split(".")
    order = 2**252 + 27742317777372353535851937790883648493
    raw = unb64(signature)
    malleable = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    unused = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(unused + "==") == raw, "only bits that say nothing differ"
    for other in (b64(malleable), unused, b64(bytes(64)), ""):
        refused(forger, f"{head}.{payload}.{other}")


def test_tok_18_kinds_do_not_mix(service):
    user = service.sign_up()
    reset = service.reset_token(user.email)
    assert service.who(user.refresh).status_code == 401 and service.who(reset).status_code == 401
    for token in (user.access, user.token, reset):
        assert service.rotate(token).json()["code"] == "REFRESH_TOKEN_INVALID"
    assert service.get("/verify-email", params={"token": reset}).status_code == 401
    for token in (user.access, user.refresh, user.token):
        assert service.post("/reset-password", {"token": token, "newPassword": "another good password"}).status_code == 400
    cookie = {"Cookie": f"{SESSION_COOKIE}={user.access}"}
    assert service.get("/get-session", headers=cookie).json() is None


def test_tok_19_no_token_in_an_address(service):
    user = service.sign_up()
    assert service.who(user.access).status_code == 200 and service.rotate(user.refresh).status_code == 200, "where they belong"
    for name in ("access_token", "token", "authorization"):
        assert service.get("/session", params={name: user.access}).status_code == 401
    assert service.ask("POST", "/refresh", params={"refreshToken": user.refresh}).status_code == 401


def test_tok_20_authorization_is_read_exactly(service):
    user = service.sign_up()
    for scheme in ("Bearer ", "bearer ", "BEARER "):
        assert service.get("/session", headers={"Authorization": scheme + user.access}).status_code == 200
    for value in ("Bearer\t" + user.access, user.access, "Bearer" + user.access, "Basic " + user.access, f"Bearer {user.access}, Bearer x", "Bearer"):
        assert service.get("/session", headers={"Authorization": value}).status_code == 401, value[:10]
    other = service.sign_up()
    both = [("Authorization", f"Bearer {user.access}"), ("Authorization", f"Bearer {other.access}")]
    assert service.get("/session", headers=both).status_code == 401


def test_tok_21_challenges(service):
    nothing = service.get("/session")
    assert nothing.status_code == 401 and nothing.headers["www-authenticate"].startswith("Bearer") and "error" not in nothing.headers["www-authenticate"]
    assert 'error="invalid_token"' in service.who("x").headers["www-authenticate"]
    assert service.sign_up().get("/admin/list-users").status_code == 403


def test_tok_22_tokens_are_never_cached(service):
    user = service.sign_up()
    answers = [service.attempt(user.email), service.attempt(user.email, "wrong password"), service.rotate(user.refresh), service.rotate("x"), user.get("/session"), user.get("/token"),
               service.ask("POST", "/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": "x"})]
    assert {a.headers["cache-control"] for a in answers} == {"no-store"}
    assert answers[-1].headers["pragma"] == "no-cache"


def test_tok_23_the_row_decides_here(service):
    user = service.sign_up()
    service.do("users", "ban", user.email, "--yes")
    assert service.who(user.access).status_code == 401 and not user.is_in()


def test_tok_24_a_token_stays_small(service, own):
    roles = "".join(f'role-{n:02} = ["p:{n}"]\n' for n in range(60))
    place = own(start=False)
    (place.folder / "countersign.toml").write_text(f"[roles]\n{roles}")
    place.serve()
    user = place.sign_up(name="x" * 200)
    everything = ",".join(f"role-{n:02}" for n in range(60))
    done = place.run("users", "set-role", user.email, everything)
    assert done.returncode == 0, done.stderr
    token = place.sign_in(user.email).access
    assert len(token) < 4096 and place.who(token).status_code == 200, len(token)


def test_tok_25_no_member_twice(forger, user):
    payload = unb64(forger.forge(user).split(".")[1])
    assert forger.who(forger.forge(user, payload=payload)).status_code == 200
    refused(forger, forger.forge(user, payload=payload[:-1] + b', "sub": "someone-else"}'))
    refused(forger, forger.forge(user, payload=payload[:-1] + f', "sub": "{user.id}"}}'.encode()))
    refused(forger, forger.forge(user, f'{{"typ":"at+jwt","alg":"none","alg":"EdDSA","kid":"{forger.kid()}"}}'.encode()))


def test_tok_26_claims_of_one_s_own_are_others(own):
    place = own(start=False)
    for name in ("sub", "iss", "exp", "role", "sid", "email_verified"):
        code, said = place.starts(f"tokens.claims.{name}=user.metadata.x")
        assert code == 78 and name in said, said


def test_oau_01_post_and_form(service):
    assert (answer := service.get("/oauth2/token")).status_code == 405 and answer.headers["allow"] == "POST"
    assert service.post("/oauth2/token", {"grant_type": "refresh_token"}).json()["error"] == "invalid_request"


def test_oau_02_repeated_parameters(service):
    user = service.sign_up()
    twice = {"content": f"grant_type=refresh_token&grant_type=refresh_token&refresh_token={user.refresh}", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    assert (answer := service.ask("POST", "/oauth2/token", **twice)).status_code == 400 and answer.json()["error"] == "invalid_request"
    good = service.ask("POST", "/oauth2/token", data={"grant_type": "refresh_token", "refresh_token": user.refresh, "scope": "", "foo": "1"})
    assert good.status_code == 200 and good.json()["access_token"]


def test_oau_07_scope_is_bounded(service):
    user = service.sign_up()
    form = {"grant_type": "refresh_token", "refresh_token": user.refresh, "scope": "a " * 40_000}
    assert service.ask("POST", "/oauth2/token", data=form).status_code == 413
    answer = service.ask("POST", "/oauth2/token", data={**form, "scope": "admin everything"}).json()
    assert "scope" not in answer and "scope" not in decode(answer["access_token"])[1]


def test_oau_08_no_password_and_no_implicit_grant(service):
    user = service.sign_up()
    for grant in ("password", "implicit", "authorization_code", "client_credentials", ""):
        answer = service.ask("POST", "/oauth2/token", data={"grant_type": grant, "username": user.email, "password": user.password})
        # An empty one is none.
        assert answer.status_code == 400 and answer.json()["error"] == ("unsupported_grant_type" if grant else "invalid_request")


def test_oau_09_revocation(service, own):
    user = service.sign_up()
    for form in ({"token": "unknown"}, {"token": user.refresh, "token_type_hint": "nonsense"}, {"token": user.refresh}):
        assert service.ask("POST", "/oauth2/revoke", data=form).status_code == 200
    assert service.rotate(user.refresh).status_code == 401
    broken = own()
    victim = broken.sign_up()
    broken.stop_database()
    answer = broken.ask("POST", "/oauth2/revoke", data={"token": victim.refresh})
    assert answer.status_code == 503 and answer.headers["retry-after"]


def test_oau_15_nothing_is_echoed(service):
    answer = service.ask("POST", "/oauth2/token", data={"grant_type": "<script>alert(1)</script>"})
    assert "<" not in answer.text and "alert" not in answer.text and answer.headers["content-type"].startswith("application/json") and answer.headers["cache-control"] == "no-store"
    assert all(" " <= c <= "~" and c not in '"\\' for c in answer.json().get("error_description", "")), "the characters of RFC 6749 5.2"
