"""How long it takes to end a million sessions of one user, and what others feel meanwhile: a ban, a reset by an admin, sign-out everywhere and deleting
the user, and the time of another user's refreshes and readings at rest and while rows are being marked. Run by benches/many_sessions.sh; prints one line a
measurement."""

import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/interop"))
import place as support  # noqa: E402

SESSIONS = int(os.getenv("SESSIONS", "1000000"))
WATCHED = float(os.getenv("WATCHED", "5"))
ROWS = """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    INSERT INTO sessions (id, user_id, token_hash, generation, refresh_hash, rotated_at, idle_expires_at, expires_at, delivery, remember, auth_time,
                          ip_address, user_agent, created_at, updated_at, epoch)
    SELECT '0190{digit}000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT), s.user_id, 'hash {digit} ' || CAST(i AS TEXT), 1, s.refresh_hash, s.rotated_at,
           s.idle_expires_at, s.expires_at, s.delivery, s.remember, s.auth_time, s.ip_address, s.user_agent, s.created_at, s.updated_at, s.epoch
      FROM n, (SELECT * FROM sessions WHERE user_id = '{user}' ORDER BY id DESC LIMIT 1) s"""


def measure(url: str):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="countersign-many-sessions-"))
    place = support.Place(folder, [f"database.url={url}", "sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s", "sessions.max_per_user=100000", "log.level=warn"])
    place.serve()
    client = httpx.Client(base_url=f"{place.base}/api/auth/", timeout=60)
    kind = url.split(":")[0]

    def execute(sql: str) -> str:
        if kind == "sqlite":
            with sqlite3.connect(folder / "data/countersign.db", timeout=60) as database:
                return "\n".join(str(row[0]) for row in database.execute(sql).fetchall() if row)
        return subprocess.run(["psql", "-qtA", url, "-c", sql], check=True, capture_output=True, text=True).stdout.strip()

    def bearer(grant: dict) -> dict:
        return {"Authorization": f"Bearer {grant['token']}"}

    def watch(refresh: str, token: str, seconds: float = WATCHED) -> tuple[str, list[float]]:
        """Refreshes and readings of another user, one after the other; their times in milliseconds."""
        times, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            for path, body in (("refresh", {"refreshToken": refresh}), ("session", None)):
                began = time.perf_counter()
                answer = client.post(path, json=body) if body else client.get(path, headers={"Authorization": f"Bearer {token}"})
                times.append((time.perf_counter() - began) * 1e3)
                assert answer.status_code == 200, answer.text
                refresh = answer.json().get("refreshToken", refresh)
        return refresh, times

    def say(what: str, times: list[float]):
        times = sorted(times)
        print(f"| {kind} | {what} | {len(times)} | {statistics.median(times):.2f} | {times[int(len(times) * 0.99)]:.2f} | {times[-1]:.2f} |", flush=True)

    place.sign_in("root")
    subprocess.run(place.command(place.port, [], "users", "set-role", "root@example.com", "admin"), cwd=folder, check=True, capture_output=True)
    admin, other = place.sign_in("root"), place.sign_in("other")
    refresh, token = other["refreshToken"], other["token"]
    for digit, way in enumerate(("sign out everywhere", "ban", "password set by an admin", "delete")):
        name = f"user{digit}"
        place.sign_in(name)
        grant = place.sign_in(name)
        user = grant["user"]["id"]
        execute(ROWS.format(count=SESSIONS, digit=digit, user=user))
        if kind != "sqlite":
            execute("VACUUM ANALYZE sessions")
        refresh, times = watch(refresh, token, 1)
        refresh, times = watch(refresh, token)
        say(f"at rest, before: {way}", times)
        body = {"userId": user, "newPassword": "another good long password"}
        path, who = {"sign out everywhere": ("revoke-sessions", grant), "ban": ("admin/ban-user", admin), "delete": ("admin/remove-user", admin)}.get(way, ("admin/set-user-password", admin))
        began = time.perf_counter()
        answer = client.post(path, json=body, headers=bearer(who))
        took = (time.perf_counter() - began) * 1e3
        assert answer.status_code == 200, answer.text
        assert client.get("session", headers=bearer(grant)).status_code == 401
        say(way, [took])
        # The job wakes up within five seconds.
        time.sleep(6)
        refresh, times = watch(refresh, token)
        left = execute(f"SELECT COUNT(*) FROM sessions WHERE user_id = '{user}' AND revoked_at IS NULL")
        say(f"while rows are marked ({left} left), after: {way}", times)
    place.stop()


print("| database | what | requests | median, ms | 99 % | slowest |\n| --- | --- | --- | --- | --- | --- |")
for url in sys.argv[1:]:
    measure(url)
