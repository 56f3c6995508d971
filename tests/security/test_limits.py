"""LIM: limits and floods."""

import concurrent.futures
import json
import math
import os
import pathlib
import socket
import sqlite3
import threading
import time

import httpx
from place import PASSWORD, wait_for
from service import NUMBERS, Collector, at_once

LIMITED = "rate_limits.enabled=true"
BEHIND = ["server.trusted_proxies=127.0.0.1", LIMITED]


def guess(place, address: str, password: str = "a wrong password", ip: str | None = None, **more):
    return place.attempt(address, password, headers={"X-Forwarded-For": ip} if ip else None, **more)


def held(place, address: str, wait: int = 60, raised: bool = True, **more):
    """Guesses until the next one has to wait for so many seconds; the answer that says so. The count of failures is raised, as if
    there had been many before: the waits double with each, and nothing here waits for them."""
    levels = lambda: dict(place.rows("SELECT key, level FROM rate_limits WHERE key LIKE 'sign-in:%'"))
    before, answer = levels(), guess(place, address, **more)
    if raised:
        for key in [key for key, level in levels().items() if before.get(key) != level]:
            with sqlite3.connect(place.kept(), timeout=10) as database:
                database.execute("UPDATE rate_limits SET level = level + 12 WHERE key = ?", (key,))
    for _ in range(60):
        if answer.status_code == 429 and int(answer.headers["retry-after"]) >= wait:
            return answer
        answer = guess(place, address, **more)
    raise AssertionError("never held up")


def resident(place) -> float:
    """Megabytes."""
    status = pathlib.Path(f"/proc/{place.processes[0].pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_lim_01_by_account_by_network_and_said(own):
    place = own(*BEHIND)
    user = place.sign_up()
    assert [guess(place, user.email).status_code for _ in range(5)] == [401] * 5
    last = held(place, user.email, wait=1, raised=False)
    assert int(last.headers["retry-after"]) >= 1 and last.headers["x-retry-after"] and "r=0" in last.headers["ratelimit"] and "q=5" in last.headers["ratelimit-policy"]
    assert {guess(place, f"other{n}@example.com", ip="203.0.113.9").status_code for n in range(110)} == {401, 429}, "a network has a limit of its own"


def test_lim_02_never_for_ever_and_never_for_the_owner(own):
    place = own(*BEHIND)
    user = place.sign_up()
    browser = place.browser(user.email)
    # Side by side, for each refusal comes a second late.
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        evaluated = list(pool.map(lambda n: guess(place, user.email, ip=f"198.51.{n % 50}.7").status_code, range(150))).count(401)
    assert 50 <= evaluated < 100, evaluated
    # The next failure, as if there had been more before it, costs a wait that outlasts this test.
    with sqlite3.connect(place.kept(), timeout=10) as database:
        database.execute("UPDATE rate_limits SET level = level + 12 WHERE key LIKE 'sign-in-account:%'")
    wait_for(lambda: guess(place, user.email, ip="198.51.199.1").status_code == 401)
    assert guess(place, user.email, PASSWORD, ip="198.51.200.1").status_code == 429, "a stranger waits"
    assert browser.post("sign-in/email", json={"email": user.email, "password": PASSWORD}).status_code == 200, "who is known does not"
    # From one network five are free; each further one costs twice the wait of the one before, a quarter of an hour at most.
    other, waits, clock = place.sign_up(), [], 0
    while waits[-2:] != [900, 900]:
        answers = [guess(place, other.email, ip="203.0.113.9") for _ in range(6 if not waits else 2)]
        assert [a.status_code for a in answers] == [401] * (len(answers) - 1) + [429], (waits, [a.status_code for a in answers])
        waits.append(int(answers[-1].headers["retry-after"]))
        clock += waits[-1] + 1
        place.kill()
        place.serve(clock=clock)
        assert len(waits) < 20, waits
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert guess(place, other.email, PASSWORD, ip="203.0.113.9").status_code == 200, "after the longest wait the owner signs in"
    assert guess(place, user.email, PASSWORD, ip="198.51.200.1").status_code == 200


def test_lim_03_right_and_wrong_wait_alike(own):
    place = own(*BEHIND)
    user = place.sign_up()
    held(place, user.email)
    wrong, right = guess(place, user.email), guess(place, user.email, PASSWORD)
    assert (wrong.status_code, wrong.text) == (right.status_code, right.text) == (429, wrong.text)


def test_lim_04_one_count_for_every_spelling(own):
    place = own(*BEHIND)
    user = place.sign_up("someone@example.com")
    held(place, "someone@example.com")
    assert {guess(place, a, PASSWORD).status_code for a in ("someone@example.com", "SOMEONE@example.com", "Someone@Example.com")} == {429}
    form = {"email": "someone@example.com", "password": "wrong password"}
    assert place.ask("POST", "/sign-in/email", data=form, headers={"Origin": place.issuer}).status_code == 429
    assert user.is_in()


def test_lim_05_no_client_chooses_its_ip_address(own):
    place = own(LIMITED)
    user = place.sign_up()
    forged = ["203.0.113.%d" % n for n in range(20)] + ["a", "", "1.2.3.4, 5.6.7.8", "fe80::1%eth0", "1.2.3.4:80", "9" * 8_000]
    began = time.monotonic()
    statuses = [place.attempt(user.email, "wrong password", headers={"X-Forwarded-For": ip, "Forwarded": f"for={ip[:50]}", "X-Real-IP": ip[:50]}).status_code for ip in forged]
    # Each further one doubles the wait: after so many seconds no more than so many can have come.
    further = math.ceil(math.log2(time.monotonic() - began + 2))
    assert statuses.count(401) <= 5 + further and set(statuses) == {401, 429}, "five are free, then one after 1 s, 2 s, 4 s …"
    trusting = own(*BEHIND)
    other = trusting.sign_up()
    for ip in ("a", "", "1.2.3.4:80", "[2001:db8::1]:80"):
        assert guess(trusting, other.email, PASSWORD, ip=ip).status_code == 200, "malformed is the proxy itself"


def test_lim_06_networks_of_ipv6(own):
    place = own(*BEHIND)
    user = place.sign_up()
    # Raised, the counts of the wider networks would hold up the others too.
    held(place, user.email, wait=16, raised=False, ip="2001:db8:1:1::1")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert {answer.status_code for answer in pool.map(lambda n: guess(place, user.email, ip=f"2001:db8:1:1::{n:x}"), (2, 3, 4))} == {429}
    assert guess(place, user.email, ip="2001:db8:1:2::1").status_code == 401
    other = place.sign_up()
    held(place, other.email, ip="1.2.3.4")
    assert {guess(place, other.email, ip=ip).status_code for ip in ("1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304")} == {429}


def test_lim_07_a_hundred_at_once(own):
    place = own(*BEHIND)
    user = place.sign_up()
    began = time.monotonic()
    statuses = at_once(lambda: guess(place, user.email).status_code, 100)
    further = math.ceil(math.log2(time.monotonic() - began + 2))
    # 503: the queue of the password threads is full.
    assert 5 <= statuses.count(401) <= 5 + further and set(statuses) <= {401, 429, 503}, "five, then one after 1 s, 2 s, 4 s …"


def test_lim_08_no_path_goes_round(own):
    place = own(*BEHIND)
    user = place.sign_up()
    held(place, user.email)
    body = json.dumps({"email": user.email, "password": PASSWORD}).encode()
    for path in ("//api/auth/sign-in/email", "/api/auth/./sign-in/email", "/api/auth/sign-in/%65mail", "/api/auth/sign-in/email;x", "/api/auth/sign-in/email/", "/API/auth/sign-in/email", "/api/auth/sign-in/email?x", "/api/auth/x/../sign-in/email"):
        request = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-HTTP-Method-Override: GET\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (path.encode(), len(body)) + body
        # What a client could mean the sign-in by is the sign-in, and counts; what it could not is unknown.
        assert place.status(request) == (429 if path.endswith("?x") else 404), path


def test_lim_09_hashes_have_a_bounded_place(own):
    place = own("passwords.argon2_memory_kib=19456", "passwords.argon2_iterations=2", "passwords.queue=16")
    user = place.sign_up()
    with httpx.Client(limits=httpx.Limits(max_connections=400), timeout=60) as client, concurrent.futures.ThreadPoolExecutor(120) as pool:
        most, over = [0.0], threading.Event()
        def watch():
            while not over.wait(0.05):
                most[0] = max(most[0], resident(place))
        watcher = threading.Thread(target=watch)
        watcher.start()
        statuses = list(pool.map(lambda _: client.post(place.url("/sign-in/email"), json={"email": user.email, "password": "wrong password"}).status_code, range(400)))
        over.set()
        watcher.join()
    assert set(statuses) <= {401, 503} and 503 in statuses
    # A debug build at rest takes more than the 25 MB of a release build.
    assert most[0] < 75 + os.cpu_count() * 20 + 50, most


def test_lim_10_hashing_blocks_no_other_request(own):
    place = own("passwords.argon2_memory_kib=19456", "passwords.argon2_iterations=16", "passwords.queue=100")
    hashed, over = [], threading.Event()
    def flood():
        while not over.is_set():
            hashed.append(place.attempt("unknown@example.com", "wrong password").status_code)
    flooders = [threading.Thread(target=flood) for _ in range(12)]
    for thread in flooders:
        thread.start()
    try:
        wait_for(lambda: len(hashed) > 12)
        before = len(hashed)
        with httpx.Client() as client:
            assert {client.get(place.url("/jwks")).status_code for _ in range(100)} == {200}
        meanwhile = len(hashed) - before
    finally:
        over.set()
        for thread in flooders:
            thread.join()
    # Each of the hundred would have waited for one hash at least if it had to.
    assert 401 in hashed and meanwhile < 50, (meanwhile, "benches/flood.sh has the figures")


def test_lim_11_cheap_checks_first(own):
    """What a request costs, as its trace tells: each check comes before all that are dearer, and a request that fails it reaches none of them."""
    collector = Collector()
    place = own(LIMITED, "rate_limits.sign_in=2/15m", collector.setting, OTEL_BSP_SCHEDULE_DELAY="100")
    user = place.sign_up()
    asked = {}

    def sign_in(what: str, expected: int, headers=None, **form) -> float:
        trace = f"{len(asked) + 1:032x}"
        asked[what] = trace
        began = time.monotonic()
        body = {"email": user.email, "password": "a wrong password", **form}
        answer = place.post("/sign-in/email", body, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01", **(headers or {})})
        assert answer.status_code == expected, (what, answer.text)
        return time.monotonic() - began

    large, foreign, broken = {"password": "x" * 1_000_000}, {"Origin": "https://evil.example", "Cookie": "a=b"}, {"email": 7}
    sign_in("all is well", 401)
    held(place, user.email)
    # Each is wrong in its own way and in every way that is looked at later: the limit is used up.
    sign_in("origin", 403, foreign, **{**broken, **large})
    sign_in("size", 413, **{**broken, **large})
    sign_in("form", 400, **broken)
    assert sign_in("limit", 429) >= 0.5, "a refusal because of too much is sent late"
    wait_for(lambda: asked["limit"] in collector.spans())
    place.stop_and_settle()
    costs = {what: collector.costs(trace) for what, trace in asked.items()}
    collector.close()
    # The limit, the look-up, the hash, then the audit trail.
    assert costs["all is well"] == ["database.write", "database.read", "password.verify", "database.write"], costs
    assert costs["size"] == costs["origin"] == costs["form"] == [], costs
    assert set(costs["limit"]) <= {"database.write"}, costs


def test_lim_12_the_slow_are_cut_off(own):
    place = own("server.header_timeout=2s")
    for request in (b"POST /api/auth/sign-in/email HTTP/1.1\r\nHost: x\r\n", b""):
        with socket.create_connection(("127.0.0.1", place.port), timeout=20) as connection:
            connection.sendall(request)
            # It ends before the default of 30 s: the setting is what counts.
            while connection.recv(1_000):
                pass
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as connection:
        connection.sendall(b"POST /api/auth/sign-in/email HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in connection.recv(1_000)


def test_lim_13_sizes(service):
    def body(size):
        return service.ask("POST", "/sign-in/email", content=b'{"email":"%s"}' % (b"x" * (size - 12)), headers={"Content-Type": "application/json"}).status_code
    assert body(65_536) == 400 and body(65_537) == 413
    many = b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(80)) + b"\r\n"
    few = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(60)) + b"\r\n"
    large = b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"
    assert (service.status(many), service.status(few), service.status(large)) == (431, 200, 431)
    assert service.status(b"GET /health?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n") == 431


def test_lim_14_deep_json(service):
    for body in (b"[" * 60_000, b'{"a":' * 10_000, b'{"email":' + b"[" * 30_000):
        assert service.ask("POST", "/sign-in/email", content=body, headers={"Content-Type": "application/json"}).status_code == 400


def test_lim_16_nothing_is_unpacked_or_packed(service):
    import gzip

    user = service.sign_up()
    packed = gzip.compress(json.dumps({"email": user.email, "password": PASSWORD}).encode())
    answer = service.ask("POST", "/sign-in/email", content=packed, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert service.post("/sign-in/email", {"email": user.email, "password": PASSWORD}).status_code == 200, "the same, not packed"
    assert "content-encoding" not in service.get("/session", headers={**user.bearer, "Accept-Encoding": "gzip, br"}).headers


def test_lim_17_each_door_has_a_limit(own):
    place = own(LIMITED, "rate_limits.sign_up=3/1h", "rate_limits.token=5/1h")
    assert [place.post("/sign-up/email", {"name": "x", "email": f"u{n}@example.com", "password": PASSWORD}).status_code for n in range(5)] == [200] * 3 + [429] * 2
    user = place.sign_in("u0@example.com")
    assert [user.get("/token").status_code for _ in range(8)] == [200] * 5 + [429] * 3
    assert 429 in [place.rotate(user.refresh).status_code for _ in range(140)], "a burst of a hundred, then twenty a minute"
    ask = lambda: place.post("/email-otp/send-verification-otp", {"email": user.email, "type": "sign-in"}).status_code
    assert [ask() for _ in range(7)] == [200] * 5 + [429] * 2
    guess = lambda: place.post("/sign-in/email-otp", {"email": "u1@example.com", "otp": "no code"}).status_code
    guesses = [guess() for _ in range(6)]
    assert guesses[:6] == [400] * 5 + [429], guesses


def test_lim_18_memory_is_bounded(own):
    place = own(*BEHIND, "rate_limits.sign_in_network=1/15m")
    place.sign_up()
    before = resident(place)
    with httpx.Client() as client, concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: client.post(place.url("/sign-in/email"), json={"email": f"u{n}@example.com", "password": "wrong password"},
                                            headers={"X-Forwarded-For": f"{1 + n % 200}.{n // 200 % 250}.1.1"}), range(3_000)))
    assert resident(place) - before < 60


def test_lim_19_a_held_lock_fails_fast(own):
    place = own("database.lock_timeout=500ms")
    user = place.sign_up()
    place.stop_database()
    # The lock is held until all of them are answered.
    assert set(at_once(lambda: user.post("/update-user", {"name": "y"}).status_code, 10)) == {503}
    place.holder.close()
    assert user.post("/update-user", {"name": "y"}).status_code == 200


def test_lim_20_one_network_cannot_take_all(own):
    """A network that asks for all places at the password threads leaves some: every sign-in from another network gets its place."""
    # No limit counts attempts here, and a hash takes long: the places alone are short.
    place = own("server.trusted_proxies=127.0.0.1", "passwords.threads=1", "passwords.queue=4", "passwords.argon2_memory_kib=19456", "passwords.argon2_iterations=16")
    owner, over = place.sign_up(), threading.Event()
    refused, hashed = [], []

    def flood(n: int):
        # Another address each, but of one site.
        while not over.is_set():
            status = guess(place, f"u{n}@example.com", ip=f"2001:db8:1:{n:x}::1").status_code
            (refused if status == 503 else hashed).append(status)

    flooders = [threading.Thread(target=flood, args=(n,)) for n in range(40)]
    for flooder in flooders:
        flooder.start()
    try:
        wait_for(lambda: len(refused) > 40)
        before = len(refused), len(hashed)
        statuses = [guess(place, owner.email, PASSWORD, ip="198.51.100.1").status_code for _ in range(8)]
        meanwhile = len(refused) - before[0], len(hashed) - before[1]
    finally:
        over.set()
        for flooder in flooders:
            flooder.join()
    assert set(hashed) == {401} and min(meanwhile) > 0, "the flood went on, and had its share"
    assert statuses == [200] * 8, (statuses, meanwhile)


def test_lim_20_failures_are_charged_to_the_network_before_they_are_hashed(own):
    place = own(*BEHIND)
    statuses = at_once(lambda: guess(place, f"u{next(NUMBERS)}@example.com", ip="203.0.113.5").status_code, 150)
    assert 50 <= statuses.count(401) <= 101 and 429 in statuses, statuses


def test_lim_21_waits_are_spread_and_tell_nothing(own):
    place = own(*BEHIND)
    user = place.sign_up()
    def headers_of_the_last(address):
        return held(place, address).headers
    known, unknown = headers_of_the_last(user.email), headers_of_the_last("unknown@example.com")
    assert known["ratelimit-policy"] == unknown["ratelimit-policy"] and abs(int(known["retry-after"]) - int(unknown["retry-after"])) <= 1
    times = []
    held(place, user.email)
    for _ in range(6):
        started = time.monotonic()
        guess(place, user.email)
        times.append(time.monotonic() - started)
    assert min(times) >= 0.5 and max(times) - min(times) > 0.05


def test_lim_22_a_restart_forgets_nothing(own):
    place = own(*BEHIND)
    user = place.sign_up()
    held(place, user.email)
    place.kill()
    place.serve()
    assert guess(place, user.email).status_code == 429
