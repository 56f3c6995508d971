#!/usr/bin/env bash
# The browser tests, or those of the files named, after tests/e2e/setup.sh; ends with a line of counts.
set -uo pipefail
cd "$(dirname "$0")/../../target/e2e"
[ ! -x node_modules/.bin/node ] || PATH="$PWD/node_modules/.bin:$PATH"
# The example of docs/testing.md asks for it by this name.
export COUNTERSIGN=${BIN_UNDER_TEST:-countersign}
started=$SECONDS
files=("$@")
[ $# -gt 0 ] || files=(./*.test.mjs)
log=$(mktemp)
# The tabs mostly wait: beside the others they cost no time.
node --test --test-concurrency=3 --test-reporter=spec --test-timeout=300000 "${files[@]}" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
number() { sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -oE "^ℹ $1 [0-9]+" | tail -n 1 | grep -oE '[0-9]+' || echo 0; }
printf '%s passed, %s failed, %s skipped in %s.0s\n' "$(number pass)" "$(number fail)" "$(number skipped)" "$((SECONDS - started))"
rm -f "$log"
exit "$status"
