"""What others feel while 500 connections flood the sign-in: latency of /refresh, /session and /jwks at rest, during and after, memory, and what the
flood was answered. One run on one machine; the load generator (wrk) and the server share its cores."""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
BINARY = os.getenv("BIN_UNDER_TEST", str(ROOT / "target/release/countersign"))
PASSWORD = "a good long password"
FLOOD_SECONDS = int(os.getenv("FLOOD_SECONDS", "60"))
REST_SECONDS = min(20, FLOOD_SECONDS)
CONNECTIONS = 500
EVERY = 0.02

SCRIPTS = {
    "one account, one address": 'return { email = "ana@example.com", from = "198.51.100.7" }',
    "every request another account from another address": (
        'return { email = "user" .. math.random(1e9) .. "@example.com", '
        'from = math.random(1, 223) .. "." .. math.random(0, 255) .. "." .. math.random(0, 255) .. "." .. math.random(1, 254) }'
    ),
}
LUA = """
math.randomseed(os.time() + %d)
local function who() %s end
local seen = {}
function request()
  local w = who()
  return wrk.format("POST", "/api/auth/sign-in/email", { ["Content-Type"] = "application/json", ["X-Forwarded-For"] = w.from },
    '{"email":"' .. w.email .. '","password":"a wrong password"}')
end
function response(status) seen[status] = (seen[status] or 0) + 1; counts = ""; for k, v in pairs(seen) do counts = counts .. k .. "=" .. v .. " " end end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function done(summary) for _, t in ipairs(threads) do print("statuses " .. (t:get("counts") or "")) end end
"""


class Client:
    """One connection that is kept, without a library's own time in between."""

    def __init__(self, port: int):
        self.port, self.socket = port, None

    def ask(self, method: str, path: str, body: str | None = None, headers: str = "") -> tuple[int, str]:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        payload = (body or "").encode()
        kind = "Content-Type: application/json\r\n" if body is not None else ""
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}{headers}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(rest) < length:
            rest += self.receive()
        return int(head.split(b" ")[1]), rest.decode()

    def receive(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        return data


class Prober(threading.Thread):
    """Asks every so often, whatever the last answer took, and notes how long each took from when it was due."""

    def __init__(self, port: int, name: str, ask):
        super().__init__(daemon=True)
        self.client, self.label, self.ask, self.times, self.bad, self.over = Client(port), name, ask, [], {}, False

    def run(self):
        due = time.perf_counter()
        while not self.over:
            due += EVERY
            time.sleep(max(0, due - time.perf_counter()))
            status = self.ask(self.client)
            self.times.append(time.perf_counter() - due)
            if status != 200:
                self.bad[status] = self.bad.get(status, 0) + 1


def resident(pid: int) -> float:
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024 / 1e6


def main():
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: benches/flood.sh installs it")
    for title, who in SCRIPTS.items():
        run(title, who)


def run(title: str, who: str):
    with tempfile.TemporaryDirectory(dir=ROOT / "benches/.work") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = [f"server.listen=127.0.0.1:{port}", "server.trusted_proxies=127.0.0.1", "server.ops_listen=off", "log.level=warn",
                    "sessions.refresh_grace=0s", "sessions.refresh_cooldown=0s"]
        log = open(pathlib.Path(folder) / "log", "wb")
        server = subprocess.Popen([BINARY, *(p for s in settings for p in ("--set", s)), "serve"], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            flood(title, who, server, port, folder)
        finally:
            server.kill()
            server.wait()


def flood(title: str, who: str, server: subprocess.Popen, port: int, folder: str):
    client = Client(port)
    for _ in range(200):
        try:
            client.ask("GET", "/health")
            break
        except OSError:
            client = Client(port)
            time.sleep(0.05)
    form = json.dumps({"name": "Eve", "email": "eve@example.com", "password": PASSWORD, "tokenDelivery": "body"})
    status, answer = client.ask("POST", "/api/auth/sign-up/email", form)
    assert status == 200, answer
    tokens = json.loads(answer)
    refresh = [tokens["refreshToken"]]

    def renew(c: Client) -> int:
        status, answer = c.ask("POST", "/api/auth/refresh", json.dumps({"refreshToken": refresh[0]}))
        if status == 200:
            refresh[0] = json.loads(answer)["refreshToken"]
        return status

    probes = {
        "/refresh": renew,
        "/session": lambda c: c.ask("GET", "/api/auth/session", headers=f"Authorization: Bearer {tokens['token']}\r\n")[0],
        "/jwks": lambda c: c.ask("GET", "/api/auth/jwks")[0],
    }

    def phase(seconds: float, work=None) -> tuple[dict, object, float]:
        probers = [Prober(port, name, ask) for name, ask in probes.items()]
        for prober in probers:
            prober.start()
        most, result = 0.0, None
        running = work() if work else None
        end = time.monotonic() + seconds
        while time.monotonic() < end or (running and running.poll() is None):
            most = max(most, resident(server.pid))
            time.sleep(0.2)
        if running:
            result = running.communicate()[0]
        for prober in probers:
            prober.over = True
        for prober in probers:
            prober.join()
        return {p.label: p for p in probers}, result, most

    script = pathlib.Path(folder) / "flood.lua"
    script.write_text(LUA % (os.getpid(), who))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{FLOOD_SECONDS}s", "--timeout", "30s", "-s", str(script), f"http://127.0.0.1:{port}"]
    before, _, at_rest = phase(REST_SECONDS)
    during, said, at_most = phase(FLOOD_SECONDS, lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    time.sleep(6)
    after, _, _ = phase(REST_SECONDS)
    p99 = lambda p: statistics.quantiles(p.times, n=100)[98] * 1e3
    p50 = lambda p: statistics.median(p.times) * 1e3
    print(f"### {title}\n\n| | p50, p99 at rest | p50, p99 in the flood | p99 after | p99 in the flood by p99 at rest | bound | met | not 200 |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in probes:
        ratio = p99(during[name]) / p99(before[name])
        met = "yes" if ratio <= 5 else "**no**"
        print(f"| `{name}` | {p50(before[name]):.2f}, {p99(before[name]):.2f} ms | {p50(during[name]):.2f}, {p99(during[name]):.2f} ms | {p99(after[name]):.2f} ms "
              f"| {ratio:.1f} | ≤ 5 | {met} | {during[name].bad or 0} |")
    threads = os.cpu_count()
    allowed = 25 + threads * 19 * 1.048576 + 50
    time.sleep(1)
    idle = resident(server.pid)
    statuses = " ".join(line.removeprefix("statuses ") for line in said.splitlines() if line.startswith("statuses"))
    rate = next((line.split()[-1] for line in said.splitlines() if line.startswith("Requests/sec")), "?")
    print(f"\nMemory: {at_rest:.0f} MB at rest, at most {at_most:.0f} MB (allowed {allowed:.0f}: {'yes' if at_most <= allowed else '**no**'}), {idle:.0f} MB after. "
          f"The flood's answers: {statuses}({rate} a second).\n", flush=True)


if __name__ == "__main__":
    (ROOT / "benches/.work").mkdir(exist_ok=True)
    main()
