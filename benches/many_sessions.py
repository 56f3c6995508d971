"""How long it takes to end a million sessions of one user, and what others feel meanwhile: a ban, a reset by an admin, sign-out everywhere and deleting
the user, and the time of another user's refreshes and readings at rest and while rows are being marked. Rest and marking alternate in windows of one length
(`WATCHED` seconds, `ROUNDS` of each): the slowest of few requests is no comparison with the slowest of many, and a machine is not equally quiet all the
time. Between two windows the job's note is taken away and put back.

A process beside it does nothing but sleep for a millisecond again and again. When it wakes up more than `STALL` seconds late, the machine itself stood still
(another guest of its host had the cores), and so did every request at that moment: those requests are counted and left out of the times, at rest and while
rows are written alike. Run by benches/many_sessions.sh; prints one line a measurement."""

import collections
import http.client
import json
import multiprocessing
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/interop"))
import place as support  # noqa: E402

SESSIONS = int(os.getenv("SESSIONS", "1000000"))
WATCHED = float(os.getenv("WATCHED", "8"))
ROUNDS = int(os.getenv("ROUNDS", "3"))
WAYS = os.getenv("WAYS", "sign out everywhere,ban,password set by an admin,delete").split(",")
STALL = 0.008
NOTE = "id, kind, user_id, epoch, reason, ended_at, done_to"
ROWS = """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, delivery, remember, auth_time,
                          ip_address, user_agent, created_at, updated_at, epoch)
    SELECT '0190{digit}000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT), s.user_id, {hash}, 1, s.refresh_hash, s.rotated_at,
           s.idle_expires_at, s.expires_at, s.delivery, s.remember, s.auth_time, s.ip_address, s.user_agent, s.created_at, s.updated_at, s.epoch
      FROM n, (SELECT * FROM sessions WHERE user_id = '{user}' ORDER BY id DESC LIMIT 1) s"""


def meter(stalls: multiprocessing.SimpleQueue):
    """Puts down when the machine stood still: the beginning and the end, on the clock that all processes share."""
    while True:
        began = time.perf_counter()
        time.sleep(0.001)
        ended = time.perf_counter()
        if ended - began > STALL:
            stalls.put((began, ended))


def measure(url: str, stalls: multiprocessing.SimpleQueue):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="countersign-many-sessions-"))
    place = support.Place(folder, [f"database.url={url}", "sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s", "sessions.max_per_user=100000", "log.level=warn"])
    place.serve()
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    kind = url.split(":")[0]

    def execute(sql: str) -> list[list[str]]:
        if kind == "sqlite":
            database = sqlite3.connect(folder / "data/countersign.db", timeout=60, isolation_level=None)
            rows = [[str(column) for column in row] for row in database.execute(sql).fetchall()]
            database.close()
            return rows
        told = subprocess.run(["psql", "-qtA", url, "-c", sql], check=True, capture_output=True, text=True).stdout.strip()
        return [line.split("|") for line in told.splitlines()]

    def ask(path: str, body: dict | None = None, token: str | None = None) -> tuple[int, dict, float]:
        """Status, body, and the time that the answer took in milliseconds."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        began = time.perf_counter()
        connection.request("POST" if body is not None else "GET", f"/api/auth/{path}", json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        told = answer.read()
        return answer.status, json.loads(told), (time.perf_counter() - began) * 1e3

    def watch(refresh: str, token: str, seconds: float, left_out: collections.Counter) -> tuple[str, list[float]]:
        """Refreshes and readings of another user, one after the other, and their times. Counts what is left out."""
        times, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            for path, body in (("refresh", {"refreshToken": refresh}), ("session", None)):
                began = time.perf_counter()
                status, told, took = ask(path, body, None if body else token)
                times.append((began, began + took / 1e3, took))
                assert status == 200, told
                refresh = told.get("refreshToken", refresh)
        time.sleep(0.1)
        still = []
        while not stalls.empty():
            since, to = stalls.get()
            # Those before this window met none of its requests.
            if times and to > times[0][0]:
                still.append((since, to))
        met = [any(began < to and since < ended for since, to in still) for began, ended, _ in times]
        left_out["stalls"] += len(still)
        left_out["requests"] += sum(met)
        return refresh, [took for (_, _, took), stood in zip(times, met, strict=True) if not stood]

    def settle():
        """What was written so far is carried over, so that no window pays for the one before."""
        execute("PRAGMA wal_checkpoint(TRUNCATE)" if kind == "sqlite" else "CHECKPOINT")
        time.sleep(1)

    def say(what: str, times: list[float], left_out: collections.Counter):
        times = sorted(times)
        at = lambda share: times[int(len(times) * share)]
        slowest = ", ".join(f"{took:.1f}" for took in times[-3:])
        out = f"{left_out['requests']} ({left_out['stalls']})"
        print(f"| {kind} | {what} | {len(times)} | {statistics.median(times):.2f} | {at(0.99):.2f} | {at(0.999):.2f} | {slowest} | {out} |", flush=True)

    place.sign_in("root")
    subprocess.run(place.command(place.port, [], "users", "set-role", "root@example.com", "admin"), cwd=folder, check=True, capture_output=True)
    admin, other = place.sign_in("root"), place.sign_in("other")
    refresh, token = other["refreshToken"], other["token"]
    for digit, way in enumerate(WAYS):
        name = f"user{digit}"
        place.sign_in(name)
        grant = place.sign_in(name)
        user = grant["user"]["id"]
        # As in use: hashes are random, and so every piece touches pages everywhere in their index.
        random = "hex(randomblob(16))" if kind == "sqlite" else "md5(random()::text || i)"
        execute(ROWS.format(count=SESSIONS, digit=digit, user=user, hash=random))
        if kind != "sqlite":
            execute("VACUUM ANALYZE sessions")
        # The log of a million new rows is a matter of this program.
        settle()
        body = {"userId": user, "newPassword": "another good long password"}
        path, who = {"sign out everywhere": ("revoke-sessions", grant), "ban": ("admin/ban-user", admin), "delete": ("admin/remove-user", admin)}.get(way, ("admin/set-user-password", admin))
        status, told, took = ask(path, body, who["token"])
        assert status == 200, told
        assert ask("session", None, grant["token"])[0] == 401
        say(way, [took], collections.Counter())
        count = f"SELECT COUNT(*) FROM sessions WHERE user_id = '{user}' AND revoked_at IS NULL"
        at_rest, marking, marked, watched = [], [], 0, 0.0
        out_at_rest, out_marking = collections.Counter(), collections.Counter()
        [note] = execute(f"SELECT {NOTE} FROM session_endings")
        for _ in range(ROUNDS):
            execute("DELETE FROM session_endings")
            settle()
            refresh, _ = watch(refresh, token, 1, collections.Counter())
            refresh, times = watch(refresh, token, WATCHED, out_at_rest)
            at_rest += times
            settle()
            execute(f"INSERT INTO session_endings ({NOTE}) VALUES ({', '.join(f'{value!r}' for value in note)})")
            # The job wakes up within five seconds.
            time.sleep(6)
            before, began = int(execute(count)[0][0]), time.perf_counter()
            refresh, times = watch(refresh, token, WATCHED, out_marking)
            marking += times
            watched += time.perf_counter() - began
            marked += before - int(execute(count)[0][0])
        say(f"at rest: {way}", at_rest, out_at_rest)
        say(f"while rows are marked ({marked / watched:.0f} a second): {way}", marking, out_marking)
        execute("DELETE FROM session_endings")
    place.stop()


print("| database | what | requests | median, ms | 99 % | 99.9 % | the three slowest | left out (stalls) |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
queue: multiprocessing.SimpleQueue = multiprocessing.SimpleQueue()
beside = multiprocessing.Process(target=meter, args=(queue,), daemon=True)
beside.start()
for url in sys.argv[1:]:
    measure(url, queue)
beside.terminate()
