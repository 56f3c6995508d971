"""The npm package is the judge: its client against its own server and against ours, every scenario of `better_auth/scenarios.mjs`,
`better_auth/two_factor.mjs`, `better_auth/mail_sign_in.mjs`, `better_auth/passkeys.mjs` and `better_auth/social.mjs` on both, and what differs stands in
`better_auth/allowed.mjs` with its reason.
BETTER_AUTH_SETS=two_factor,bare plays those sets alone."""

import json
import os
import subprocess

import httpx
from place import NODE, ROOT, Place, free_port, wait_for
from providers import SECRET, Providers

WORK = ROOT / "target/interop/better_auth"


POSTING = "mail.transport=file"
SETS = [
    ("scenarios", [], [POSTING]),
    ("two_factor", [], [POSTING]),
    ("mail_sign_in", ["mail"], [POSTING, "two_factor.email=true"]),
    ("mail_closed", ["mail_closed"], [POSTING, "sign_up.enabled=false"]),
    ("mail_cached", ["mail_cached"], [POSTING, "two_factor.email=true", "sessions.cookie_cache=5m"]),
    ("passkeys", ["passkeys"], [POSTING]),
    ("social", ["social"], [POSTING]),
    ("verifying", ["verify"], [POSTING, "sign_up.require_email_verification=true"]),
    ("bare", ["bare"], ["mail.transport=off"]),
    ("closed", ["closed"], [POSTING, "sign_up.enabled=false"]),
    ("cached", ["cached"], [POSTING, "sessions.cookie_cache=5m"]),
]
CHOSEN = [entry for entry in SETS if entry[0] in os.getenv("BETTER_AUTH_SETS", entry[0]).split(",")]


def test_the_client_works_unmodified_and_differs_only_where_it_is_said(tmp_path):
    places, pairs = [], []
    try:
        for name, mode, settings in CHOSEN:
            (folder := tmp_path / name).mkdir()
            (mails := folder / "mails").mkdir()
            place = Place(folder, [f"mail.dir={mails}", *settings])
            places.append(place)
            theirs = f"http://localhost:{(port := free_port())}"
            upstream = None
            if name == "social":
                providers = Providers(folder, [theirs, place.issuer])
                place.processes.extend(providers.processes)
                place.settings.extend(providers.settings())
                upstream = providers.urls
                mode = [*mode, json.dumps({**upstream, "secret": SECRET})]
            log = open(folder / "better-auth.log", "ab")
            server = subprocess.Popen([NODE, "server.mjs", str(port), *mode], cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            place.processes.append(server)
            place.serve()
            wait_for(lambda: httpx.get(f"{theirs}/api/auth/ok").status_code == 200)
            pairs.append({"set": name, "theirs": theirs, "ours": place.issuer, "command": place.command(place.port, []), "mails": str(mails), "place": str(folder), "upstream": upstream})
        environment = {"PATH": "/usr/bin:/bin"}
        done = subprocess.run([NODE, "compare.mjs", json.dumps(pairs)], cwd=WORK, capture_output=True, text=True, check=False, env=environment)
        print(done.stdout, done.stderr[-2_000:])
        assert done.returncode == 0, done.stdout[-20_000:]
    finally:
        for place in places:
            place.stop()
