"""npm's `@simplewebauthn/server` as the judge of passkeys: more than a hundred answers of an authenticator, good and bent, to the service and to the
package; where the two differ stands in `better_auth/judges.mjs` with its reason."""

import subprocess

from place import NODE, ROOT, Place


def test_bent_answers_are_judged_as_the_package_judges_them(tmp_path):
    place = Place(tmp_path)
    try:
        place.serve()
        command = [NODE, "judges.mjs", place.issuer]
        done = subprocess.run(command, cwd=ROOT / "target/interop/better_auth", capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
        print(done.stdout[-4_000:], done.stderr[-2_000:])
        assert done.returncode == 0, done.stdout[-20_000:]
    finally:
        place.stop()
