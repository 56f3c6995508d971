"""The npm package is the judge: its client against its own server and against ours, every scenario of `better_auth/scenarios.mjs` on both, and what
differs stands in `better_auth/allowed.mjs` with its reason."""

import json
import subprocess

import httpx
from place import NODE, ROOT, Place, free_port, wait_for

WORK = ROOT / "target/interop/better_auth"


def test_the_client_works_unmodified_and_differs_only_where_it_is_said(tmp_path):
    place = Place(tmp_path)
    theirs = f"http://localhost:{(port := free_port())}"
    log = open(tmp_path / "better-auth.log", "ab")
    server = subprocess.Popen([NODE, "server.mjs", str(port)], cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    place.processes.append(server)
    try:
        place.serve()
        wait_for(lambda: httpx.get(f"{theirs}/api/auth/ok").status_code == 200)
        command = json.dumps(place.command(place.port, []))
        done = subprocess.run([NODE, "compare.mjs", theirs, place.issuer, command], cwd=WORK, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "PLACE": str(tmp_path)})
        print(done.stdout[-20_000:], done.stderr[-2_000:])
        assert done.returncode == 0, done.stdout[-20_000:]
    finally:
        place.stop()
