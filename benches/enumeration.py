"""Whether time tells which addresses are known: 200 tries of each kind by turns, medians in milliseconds, and how likely the difference is chance
(Mann-Whitney, two-sided). Run by benches/enumeration.sh; exits 1 if a pair of medians is more than 5 % apart."""

import itertools
import math
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/interop"))
import place as support  # noqa: E402

TRIES = int(os.getenv("TRIES", "200"))
PASSWORD = "a good long password"


def mann_whitney(a: list[float], b: list[float]) -> float:
    """The p of both being of one distribution; the normal approximation, which is good from some twenty values on."""
    ranks = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    u = sum(rank for rank, (_, side) in enumerate(ranks, 1) if side == 0) - len(a) * (len(a) + 1) / 2
    mean, deviation = len(a) * len(b) / 2, math.sqrt(len(a) * len(b) * (len(a) + len(b) + 1) / 12)
    return 2 * (1 - statistics.NormalDist().cdf(abs(u - mean) / deviation))


def measure(url: str) -> list[str]:
    support.CHEAP[:] = ["rate_limits.enabled=false"]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="countersign-enumeration-"))
    place = support.Place(folder, ["mail.transport=file", f"mail.dir={folder}/mails", "sign_up.require_email_verification=true", f"database.url={url}"])
    place.serve()
    number = itertools.count()
    client = httpx.Client(base_url=f"{place.base}/api/auth", timeout=30)

    def post(path: str, body: dict) -> tuple[float, tuple]:
        started = time.perf_counter()
        answer = client.post(path, json=body)
        took = time.perf_counter() - started
        told = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")}
        # What differs between any two answers, known or not: ids, times, the address that was asked for.
        body = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:.]+Z", "…", answer.text.replace(body["email"], "…"))
        return took * 1e3, (answer.status_code, str(told), body)

    known = [f"known{n:05}@example.com" for n in range(20)]
    for address in known:
        post("/sign-up/email", {"name": "x", "email": address, "password": PASSWORD})
    fresh = lambda: f"other{next(number):05}@example.com"
    ways = {
        "sign-in, wrong password": ("/sign-in/email", lambda a: {"email": a, "password": "another good password"}),
        "sign-up": ("/sign-up/email", lambda a: {"name": "x", "email": a, "password": PASSWORD}),
        "request-password-reset": ("/request-password-reset", lambda a: {"email": a, "redirectTo": "/reset"}),
        "send-verification-email": ("/send-verification-email", lambda a: {"email": a}),
    }
    rows = []
    for name, (path, body) in ways.items():
        times, told = {True: [], False: []}, {True: set(), False: set()}
        for _ in range(TRIES):
            for is_known in random.sample([True, False], 2):
                # What the one before leaves to be done after its answer is done.
                time.sleep(0.02)
                took, what = post(path, body(random.choice(known) if is_known else fresh()))
                times[is_known].append(took)
                told[is_known].add(what)
        a, b = statistics.median(times[True]), statistics.median(times[False])
        same = "yes" if told[True] == told[False] and len(told[True]) == 1 else "NO"
        rows.append((name, a, b, a / b, mann_whitney(times[True], times[False]), same))
    # What one leaves to be done after its answer slows the next request of any client: an unknown address right after each.
    after = {True: [], False: []}
    for _ in range(TRIES):
        for is_known in random.sample([True, False], 2):
            time.sleep(0.02)
            post("/request-password-reset", {"email": random.choice(known) if is_known else fresh(), "redirectTo": "/reset"})
            after[is_known].append(post("/request-password-reset", {"email": fresh(), "redirectTo": "/reset"})[0])
    a, b = statistics.median(after[True]), statistics.median(after[False])
    rows.append(("a request right after one for …", a, b, a / b, mann_whitney(after[True], after[False]), "–"))
    place.stop()
    database = "Postgres" if url.startswith("postgres") else "SQLite"
    return [(f"{database}: {n}", *rest) for n, *rest in rows]


rows = [row for url in sys.argv[1:] for row in measure(url)]
print(f"| {TRIES} tries each, medians | known | unknown | ratio | p | status, headers, body equal |\n| --- | --- | --- | --- | --- | --- |")
for name, a, b, ratio, p, same in rows:
    print(f"| {name} | {a:.2f} ms | {b:.2f} ms | {ratio:.3f} | {p:.3f} | {same} |")
sys.exit(any(same != "–" and (abs(ratio - 1) > 0.05 or same != "yes") for _, _, _, ratio, _, same in rows))
