#!/usr/bin/env bash
# The browser tests, or those of the files named, after tests/e2e/setup.sh. REPORTS: a folder for a JUnit file.
set -euo pipefail
cd "$(dirname "$0")/../../target/e2e"
[ ! -x node_modules/.bin/node ] || PATH="$PWD/node_modules/.bin:$PATH"
# The example of docs/testing.md asks for it by this name.
export COUNTERSIGN=${BIN_UNDER_TEST:-countersign}
files=("$@")
[ $# -gt 0 ] || files=(./*.test.mjs)
reporters=(--test-reporter=spec --test-reporter-destination=stdout)
[ -z "${REPORTS:-}" ] || reporters+=(--test-reporter=junit "--test-reporter-destination=$REPORTS/browser.xml")
# The tabs mostly wait: beside the others they cost no time.
exec node --test --test-concurrency=3 "${reporters[@]}" "--test-timeout=${TEST_TIMEOUT_MS:-900000}" "${files[@]}"
