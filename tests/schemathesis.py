"""openapi.yaml is true: Schemathesis makes requests of it, good and bad ones, and holds every answer of the real server to it.

Without a session, and as an admin, who is still one afterwards; requests that may end that come last.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).parent / "interop"))

from place import ROOT, Place

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method"
# One worker: the ast module of Debian 12's Python counts its depth across threads, and fails now and then.
EXAMPLES = os.getenv("EXAMPLES", "40")
# What may end the session that asks, or its rights: one's own id is learnt from one answer and sent in another request. These are asked last.
ENDS = "/(sign-out|revoke-sessions?|delete-user|delete-user/callback|admin/(revoke-user-sessions?|set-role|set-user-password|update-user|ban-user|remove-user|impersonate-user))$"


def run(place: Place, title: str, seed: int, *more: str) -> int:
    """The number of cases; a failure ends the program."""
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [program, "run", ROOT / "openapi.yaml", "--url", place.base, "--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", str(seed), "--workers", "1", "--suppress-health-check", "all",
               "--no-color", "--request-timeout", "30", "--continue-on-failure"]
    done = subprocess.run([*command, *more], cwd=place.folder, capture_output=True, text=True)
    found = re.search(r"(\d+) generated", done.stdout)
    cases = int(found[1]) if found else 0
    print(f"{title}: {cases} cases, exit {done.returncode}", flush=True)
    if done.returncode != 0 or cases == 0:
        sys.exit(done.stdout[-12_000:] + done.stderr[-2_000:])
    return cases


def main():
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder), ["mail.transport=file", "database.lock_timeout=10s"])
        place.serve()
        try:
            cases = run(place, "without a session", 1)
            place.sign_in("admin")
            done = subprocess.run(place.command(place.port, [], "users", "set-role", "admin@example.com", "admin"), cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            bearer = f"Authorization: Bearer {place.sign_in('admin')['token']}"
            cases += run(place, "as an admin", 2, "-H", bearer, "--exclude-path-regex", ENDS)
            still = httpx.get(f"{place.base}/api/auth/admin/list-users", headers={"Authorization": bearer.split(": ")[1]})
            assert still.status_code == 200, "it was an admin to the end"
            cases += run(place, "as an admin, what may end that", 3, "-H", bearer, "--include-path-regex", ENDS)
            log = (pathlib.Path(folder) / f"{place.port}.log").read_text()
            faults = re.findall(r'"status":500.*', log)
            print(f"{cases} cases; 0 server errors and 0 undocumented statuses; {len(faults)} faults in the log")
            assert not faults and "panicked" not in log, faults[:3]
        finally:
            place.stop()


if __name__ == "__main__":
    main()
