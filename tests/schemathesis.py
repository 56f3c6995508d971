"""openapi.yaml is true: Schemathesis makes requests of it, good and bad ones, and holds every answer of the real server to it.

Without a session, and as an admin, who is still one afterwards; what may end that is asked last. Then as both on a service
whose rate limits are reached, where 429 is an answer too, with `Retry-After`.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import httpx
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parent / "interop"))

from place import PASSWORD, ROOT, Place

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth"
# One worker: the ast module of Debian 12's Python counts its depth across threads, and fails now and then.
EXAMPLES = os.getenv("EXAMPLES", "40")
# What may end the session that asks, or its rights: one's own id is learnt from one answer and sent in another request. These are asked last.
ENDS = "/(sign-out|revoke-sessions?|delete-user|delete-user/callback|admin/(revoke-user-sessions?|set-role|set-user-password|update-user|ban-user|remove-user|impersonate-user))$"


# In a browser a new session takes the place of the one that asks; no such path needs a session.
REPLACES = "/(sign-(in|up)/email|sign-in/email-otp|magic-link/verify)$"
COOKIE = "better-auth.session_token"
# What has a limit; each path answers 429 at least once in the runs with limits on.
LIMITED = {"/api/auth/sign-up/email", "/api/auth/sign-in/email", "/api/auth/request-password-reset", "/api/auth/send-verification-email", "/api/auth/verify-password", "/api/auth/token",
           "/api/auth/sign-in/magic-link", "/api/auth/email-otp/send-verification-otp", "/api/auth/email-otp/request-password-reset", "/api/auth/forget-password/email-otp"}
# So few that a run reaches them all: an answer 429 comes a second late.
LIMITS = ["rate_limits.enabled=true", "rate_limits.sign_up=1/1h", "rate_limits.sign_in=1/1h", "rate_limits.sign_in_account=1/1h", "rate_limits.sign_in_network=1/1h", "rate_limits.sign_in_success=1/1h",
          "rate_limits.mail_address=1/1h", "rate_limits.mail_network=1/1h", "rate_limits.token=1/1h", "rate_limits.code_request=1/1h", "rate_limits.code_network=1/1h",
          "rate_limits.code_recipient=1/1h", "rate_limits.email_code=1/1h", "rate_limits.email_code_account=1/1h"]


def document(place: Place, credential: str) -> pathlib.Path:
    """openapi.yaml with this way alone to say who asks. Where an operation has another way beside it, `ignored_auth` takes a cookie that
    it has made up itself for the credential, and not the good one that came in the header."""
    whole = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    for operations in whole["paths"].values():
        for operation in operations.values():
            if "security" in operation:
                operation["security"] = [way for way in operation["security"] if not way or credential in way]
    path = place.folder / f"{credential}.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


def run(place: Place, title: str, seed: int, credential: str | None, *more: str) -> int:
    """The number of cases; a failure ends the program."""
    program = pathlib.Path(sys.executable).with_name("schemathesis")
    described = document(place, credential) if credential else ROOT / "openapi.yaml"
    command = [program, "run", described, "--url", place.base, "--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", str(seed), "--workers", "1", "--suppress-health-check", "all",
               "--no-color", "--request-timeout", "30", "--continue-on-failure"]
    done = subprocess.run([*command, *more], cwd=place.folder, capture_output=True, text=True)
    found = re.search(r"(\d+) generated", done.stdout)
    cases = int(found[1]) if found else 0
    print(f"{title}: {cases} cases, exit {done.returncode}", flush=True)
    if done.returncode != 0 or cases == 0:
        sys.exit(done.stdout[-12_000:] + done.stderr[-2_000:])
    return cases


def admin_of(place: Place) -> str:
    """The header of an admin's session."""
    place.sign_in("admin")
    done = subprocess.run(place.command(place.port, [], "users", "set-role", "admin@example.com", "admin"), cwd=place.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return f"Authorization: Bearer {place.sign_in('admin')['token']}"


def is_still_admin(place: Place, header: str):
    answer = httpx.get(f"{place.base}/api/auth/admin/list-users", headers=dict([header.split(": ")]))
    assert answer.status_code == 200, "it was not an admin to the end"


def log_of(place: Place) -> str:
    log = (place.folder / f"{place.port}.log").read_text()
    faults = re.findall(r'"status":500.*', log)
    assert not faults and "panicked" not in log, faults[:3]
    return log


@contextlib.contextmanager
def serving(settings: list[str]):
    with tempfile.TemporaryDirectory() as folder:
        place = Place(pathlib.Path(folder), ["mail.transport=file", "database.lock_timeout=10s", *settings])
        place.serve()
        try:
            yield place
        finally:
            place.stop()


def main():
    with serving([]) as place:
        cases = run(place, "without a session", 1, None)
        bearer = ("sessionToken", "-H", admin_of(place))
        cases += run(place, "as an admin", 2, *bearer, "--exclude-path-regex", ENDS)
        is_still_admin(place, bearer[2])
        signed_in = httpx.post(f"{place.base}/api/auth/sign-in/email", json={"email": "admin@example.com", "password": PASSWORD})
        cookie = f"Cookie: {COOKIE}={signed_in.cookies[COOKIE]}"
        cases += run(place, "as an admin with a cookie", 3, "sessionCookie", "-H", cookie, "--exclude-path-regex", f"{ENDS}|{REPLACES}", "--checks", "ignored_auth", "--max-examples", "5")
        is_still_admin(place, cookie)
        # Another session of the admin's may have ended meanwhile.
        bearer = ("sessionToken", "-H", admin_of(place))
        cases += run(place, "as an admin, what may end that", 4, *bearer, "--include-path-regex", ENDS)
        log_of(place)
    # The admin is made before there are limits.
    with serving([]) as place:
        bearer = ("sessionToken", "-H", admin_of(place))
        place.kill()
        place.serve(settings=LIMITS)
        some = ("--include-path-regex", f"^({'|'.join(LIMITED)})$", "--max-examples", "8")
        cases += run(place, "without a session, limits on", 5, None, *some)
        cases += run(place, "as an admin, limits on", 6, *bearer, *some)
        lines = [json.loads(line) for line in log_of(place).splitlines() if line.startswith("{")]
        limited = {line["route"] for line in lines if line.get("status") == 429}
        assert limited == LIMITED, LIMITED ^ limited
    print(f"{cases} cases; 0 server errors and 0 undocumented statuses; limited: {', '.join(sorted(limited))}")


if __name__ == "__main__":
    main()
