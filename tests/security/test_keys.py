"""KEY: the key set, its rotation, discovery."""

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import httpx
import jwt
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from place import PASSWORD, ROOT, wait_for
from service import SESSION_COOKIE, at_once, b64, decode, document, unb64

JWKS, DISCOVERY = "/jwks", "/.well-known/openid-configuration"


def keys(service) -> list[dict]:
    return service.get(JWKS).json()["keys"]


def test_key_01_public_members_only(service):
    for key in keys(service):
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "k"}


def test_key_02_complete_members(service):
    for key in keys(service):
        assert key.keys() == {"kty", "crv", "x", "use", "alg", "kid"} and (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")
        assert len(key["x"]) == 43 and len(unb64(key["x"])) == 32


def test_key_03_kid_is_the_thumbprint(service):
    for key in keys(service):
        canonical = json.dumps({"crv": key["crv"], "kty": key["kty"], "x": key["x"]}, separators=(",", ":"))
        assert key["kid"] == b64(hashlib.sha256(canonical.encode()).digest())


def test_key_04_published_before_it_signs(own):
    place = own()
    user = place.sign_up()
    published = {k["kid"] for k in keys(place)}
    assert len(published) == 2, "the standby is there from the first start"
    refused = place.run("keys", "rotate", "--yes")
    assert refused.returncode == 1, "too young to be in every cache"
    place.do("keys", "rotate", "--force", "--yes")
    signing = wait_for(lambda: (kid := decode(place.sign_in(user.email).access)[0]["kid"]) != decode(user.access)[0]["kid"] and kid)
    assert signing in published


def test_key_05_the_old_key_outlives_its_tokens(own):
    place = own()
    user = place.sign_up()
    place.do("keys", "rotate", "--force", "--yes")
    wait_for(lambda: len(keys(place)) == 3)
    old = next(k for k in place.cli("keys", "list")["items"] if k["kid"] == decode(user.access)[0]["kid"])
    assert old["state"] == "retired" and place.who(user.access).status_code == 200
    by_pyjwt = jwt.PyJWKClient(place.url(JWKS)).get_signing_key_from_jwt(user.access)
    assert jwt.decode(user.access, by_pyjwt, algorithms=["EdDSA"], audience=place.issuer, issuer=place.issuer)["sub"] == user.id


def test_key_06_a_leaked_key_is_gone(own):
    place = own()
    user = place.sign_up()
    kid = decode(user.access)[0]["kid"]
    place.do("keys", "revoke", kid, "--reason", "a test", "--yes")
    wait_for(lambda: place.who(user.access).status_code == 401)
    assert kid not in {k["kid"] for k in keys(place)} and decode(place.sign_in(user.email).access)[0]["kid"] != kid


def test_key_07_cacheable_and_without_cookies(service):
    answer = service.get(JWKS)
    assert "public" in answer.headers["cache-control"] and "max-age=300" in answer.headers["cache-control"] and "set-cookie" not in answer.headers
    etag = answer.headers["etag"]
    assert not etag.startswith("W/") and service.get(JWKS, headers={"If-None-Match": etag}).status_code == 304


def test_key_08_readable_from_everywhere_without_credentials(service):
    answer = service.get(JWKS, headers={"Origin": "https://anywhere.example"})
    assert answer.headers["access-control-allow-origin"] == "*" and "access-control-allow-credentials" not in answer.headers


def test_key_09_nothing_of_the_request_goes_in(service):
    odd = [{"Accept": "text/html"}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}, {"X-Original-URL": "/evil"}, {"Accept-Encoding": "gzip"}, {"Host": "evil.example"}]
    answers = [service.get(JWKS, headers=h) for h in odd] + [service.get(JWKS + "?x=1"), service.get(JWKS + "?kid=other")]
    assert {a.content for a in answers} == {service.get(JWKS).content}
    assert {service.get(JWKS + p).status_code for p in ("/x.css", ";a", "/", "%2f")} == {404}


def test_key_10_always_served(own):
    place = own("rate_limits.enabled=true")
    place.sign_up()
    with sqlite3.connect(place.kept()) as database:
        database.execute("ALTER TABLE signing_keys RENAME TO signing_keys_away")
        database.execute("ALTER TABLE key_ring RENAME TO key_ring_away")
    def hundred():
        with httpx.Client() as client:
            return {client.get(place.url(JWKS)).status_code for _ in range(100)}
    with ThreadPoolExecutor(8) as pool:
        assert set.union(*pool.map(lambda _: hundred(), range(16))) == {200}
    assert place.post("/sign-up/email", {"name": "x", "email": "x@example.com", "password": PASSWORD}).status_code == 500, "nothing else works"


def test_key_11_an_unknown_kid_costs_no_look(service):
    user = service.sign_up()
    head, payload, signature = user.access.split(".")
    # What the process writes every second about itself is not for a request.
    own = {"heartbeats", "processes", "write_probes"}
    tables = [name for (name,) in service.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'") if name not in own]

    def kept():
        return {name: service.rows(f"SELECT * FROM {name} ORDER BY 1") for name in tables}

    before, mark = kept(), len(service.log())
    for n in range(300):
        other = b64(json.dumps({"typ": "at+jwt", "alg": "EdDSA", "kid": f"unknown-{n}"}).encode())
        assert service.who(f"{other}.{payload}.{signature}").status_code == 401
    assert kept() == before, "nothing is written for it"
    # At this level every statement is logged, as those of the sign-up were: what little there is of these tables now comes from the jobs.
    log = service.log()
    logged = [line for line in log.splitlines() if '"db.statement"' in line]
    looked_up = [line for line in log[mark:].splitlines() if '"db.statement"' in line and re.search(r"FROM (sessions|users|signing_keys|accounts)", line)]
    assert logged and len(looked_up) < 300 / 2, "and nothing is looked up"


def test_key_12_one_ring_however_many_begin(own):
    place = own(start=False)
    with ThreadPoolExecutor(2) as pool:
        ports = [place.port, place.port + 1 if place.port < 29_999 else place.port - 1]
        bases = list(pool.map(place.serve, ports))
    first, second = (httpx.get(f"{b}/api/auth/jwks").json()["keys"] for b in bases)
    assert first == second and len(first) == 2
    before = [k["kid"] for k in place.cli("keys", "list")["items"]]
    outcomes = at_once(lambda: place.run("keys", "rotate", "--force", "--yes").returncode, 5)
    # Each that says so made one; those that lost made none.
    assert outcomes.count(0) >= 1 and len([k for k in place.cli("keys", "list")["items"] if k["kid"] not in before]) == outcomes.count(0)
    states = [k["state"] for k in place.cli("keys", "list")["items"]]
    assert states.count("active") == 1 and states.count("standby") == 1


def test_key_13_one_algorithm_and_one_purpose_a_key(service):
    assert {(k["alg"], k["use"]) for k in keys(service)} == {("EdDSA", "sig")}
    # The master key is read as an operator could, and every purpose's key is derived here, by the labels in the source.
    secret = unb64((service.folder / "keys/master.key").read_text().strip())
    labels = re.findall(r'b"(countersign/[^"]+)"', "".join(file.read_text().split("#[cfg(test)]")[0] for file in (ROOT / "src/crypto").glob("*.rs")))
    assert len(labels) >= 12 and len(set(labels)) == len(labels), "a label each"
    derived = {label: HKDF(hashes.SHA256(), 32, None, label.encode()).derive(secret) for label in labels}
    every = {**derived, "the master key itself": secret}

    def signs(key, value, signature):
        return hmac.compare_digest(base64.b64encode(hmac.digest(key, value.encode(), hashlib.sha256)).decode(), signature)

    def opens(key, jwe):
        header, _, nonce, sealed, tag = jwe.split(".")
        try:
            return json.loads(AESGCM(key).decrypt(unb64(nonce), unb64(sealed) + unb64(tag), header.encode()))
        except InvalidTag:
            return None

    value, signature = unquote(service.browser().cookies[SESSION_COOKIE]).rsplit(".", 1)
    signers = {label for label, key in every.items() if signs(key, value, signature)}
    sealed = [jwe for (jwe,) in service.rows("SELECT private_jwe FROM signing_keys WHERE private_jwe IS NOT NULL")]
    openers = {label for jwe in sealed for label, key in every.items() if opens(key, jwe)}
    assert len(signers) == 1 and len(openers) == 1 and not signers & openers and "the master key itself" not in signers | openers, (signers, openers)
    # Signing keys are none of them, and sign no cookie.
    for jwe in sealed:
        private = unb64(opens(derived[min(openers)], jwe)["d"])
        assert private not in every.values() and not signs(private, value, signature)


def test_key_14_a_signature_cannot_mix_keys(service, own, tmp_path):
    user = service.sign_up()
    named = jwt.get_unverified_header(user.access)["kid"]
    assert len(keys(service)) > 1, "a key of another pair is needed for the comparison"
    for key in keys(service):
        public = Ed25519PublicKey.from_public_bytes(unb64(key["x"]))
        message, signature = user.access.rsplit(".", 1)
        if key["kid"] == named:
            public.verify(unb64(signature), message.encode())
        else:
            with pytest.raises(InvalidSignature):
                public.verify(unb64(signature), message.encode())
    place = own()
    one, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    for public, code, said in ((other, 1, "the private key and the public key in the file do not belong together"), (one, 0, "")):
        jwk = {"kty": "OKP", "crv": "Ed25519", "d": b64(one.private_bytes_raw()), "x": b64(public.public_key().public_bytes_raw())}
        file = tmp_path / "key.json"
        file.write_text(json.dumps(jwk))
        done = place.run("keys", "import", str(file))
        assert done.returncode == code and said in done.stderr, (done.returncode, done.stderr)


def test_key_15_discovery_wherever_it_is_looked_for(service, own):
    both = [service.get(p) for p in (DISCOVERY, "/.well-known/oauth-authorization-server")]
    assert {a.status_code for a in both} == {200} and both[0].json() == both[1].json() and both[0].headers["content-type"].startswith("application/json")
    deep = own(start=False)
    deep.settings.append(f"tokens.issuer={deep.issuer}/tenant")
    deep.serve()
    paths = ["/tenant/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/tenant", "/.well-known/openid-configuration/tenant"]
    assert len({httpx.get(deep.base + p).raise_for_status().text for p in paths}) == 1


def test_key_16_metadata_is_honest(service):
    said = service.get(DISCOVERY).json()
    assert said["grant_types_supported"] == ["refresh_token"] and "authorization_endpoint" not in said and said["response_types_supported"] == []
    assert "none" not in said["id_token_signing_alg_values_supported"]
    for name, url in said.items():
        if name.endswith(("_endpoint", "_uri")):
            # What takes a form says that it is missing.
            method, status = ("GET", 200) if name == "jwks_uri" else ("POST", 400)
            assert httpx.request(method, url.replace("localhost", "127.0.0.1")).status_code == status, name


def test_key_17_metadata_never_from_the_request(service):
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}, {"Forwarded": "host=evil.example;proto=https"}):
        assert service.get(DISCOVERY, headers=headers).content == service.get(DISCOVERY).content


def test_key_18_the_issuer_is_https_and_exact(own):
    place = own(start=False)
    for issuer in ("http://auth.example.com", "https://auth.example.com?x=1", "https://auth.example.com#x", "nonsense"):
        code, said = place.starts(f"tokens.issuer={issuer}")
        assert code == 78 and "issuer" in said, (issuer, said)


def test_key_19_a_bounded_set(own):
    place = own()
    for _ in range(20):
        place.do("keys", "rotate", "--force", "--yes")
    wait_for(lambda: len(keys(place)) > 2)
    states = [k["state"] for k in place.cli("keys", "list")["items"]]
    assert states.count("active") == 1 and states.count("standby") == 1
    # If rotations are forced faster than tokens expire, keys that still verify tokens have to stay.
    assert len(place.get(JWKS).content) < 22 * 200


def test_key_20_the_schedule_survives_a_leap(own):
    place = own()
    place.kill()
    place.serve(clock=366 * 86_400)
    wait_for(lambda: "active" in {k["state"] for k in place.cli("keys", "list")["items"]})
    rotations = wait_for(lambda: place.audit("keys.") )
    assert len([e for e in rotations if e["kind"] == "keys.rotated"]) <= 2, "the first of all and one after the leap: no storm"
    user = place.sign_up()
    assert place.who(user.access).status_code == 200


def test_key_21_real_verifiers_through_a_rotation(own):
    place = own()
    user = place.sign_up()
    client = jwt.PyJWKClient(place.url(JWKS), cache_keys=True)
    def good(token):
        return jwt.decode(token, client.get_signing_key_from_jwt(token), algorithms=["EdDSA"], audience=place.issuer, issuer=place.issuer)
    assert good(user.access)
    place.do("keys", "rotate", "--force", "--yes")
    after = wait_for(lambda: (u := place.sign_in(user.email)) and decode(u.access)[0]["kid"] != decode(user.access)[0]["kid"] and u)
    place.kill()
    assert good(after.access) and good(user.access), "the server is away; every key was known already"


def test_key_22_the_guide_for_verifiers():
    guide = document("docs", "verifiers.md")
    for word in ("PyJWT", "2.13", "python-jose", "jsonwebtoken", "hono", "fast-jwt", "algorithms", "aud", "iss", "typ"):
        assert word in guide, word


def test_key_23_samples_ask_seldom(service):
    client, fetches = jwt.PyJWKClient(service.url(JWKS), lifespan=300), []
    fetch = client.fetch_data
    client.fetch_data = lambda: (fetches.append(1), fetch())[1]
    user = service.sign_up()
    payload = user.access.split(".")[1:]
    for n in range(100):
        head = b64(json.dumps({"typ": "at+jwt", "alg": "EdDSA", "kid": f"unknown-{n}"}).encode())
        try:
            client.get_signing_key_from_jwt(".".join([head, *payload]))
        except jwt.PyJWTError:
            pass
    assert len(fetches) <= 2
    assert "PyJWT" in document("examples", "fastapi", "requirements.txt") and "createRemoteJWKSet" in document("examples", "node", "server.mjs")
