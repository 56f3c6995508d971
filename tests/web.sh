#!/usr/bin/env bash
# The client for browsers: types, tests, size, what is packed, and a strict consumer of the package. Ends with a line of counts.
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
started=$SECONDS
quiet=(--silent --no-audit --no-fund --no-package-lock)
work=target/web
rm -rf "$work"
mkdir -p "$work"
cp -r clients/web/{src,test,consumer} clients/web/*.{json,ts,mjs,md} "$work/"
cd "$work"
npm install "${quiet[@]}" || exit 1
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then npm install "${quiet[@]}" --no-save node@22 || exit 1; fi
PATH="$PWD/node_modules/.bin:$PATH"

consumer() {
  cd consumer && npm install "${quiet[@]}" && npm install "${quiet[@]}" --no-save ../countersign-web-*.tgz && node_modules/.bin/tsc -p .
}
pack() { npm pack 2>&1 | grep -E '^npm notice' && [ -s countersign-web-0.1.0.tgz ]; }

part 'types' tsc --noEmit
log=$(mktemp)
printf '\n=== vitest\n'
vitest run --no-color | tee "$log" || broken+=(vitest)
line=$(grep -E '^ *Tests ' "$log")
p=$(count "$line" passed) f=$(count "$line" failed)
[ "$((p + f))" -gt 0 ] || f=1
passed=$((passed + p)) failed=$((failed + f))
rm -f "$log"
part 'build' tsdown
part 'size' node size.mjs
part 'npm pack' pack
part 'a strict consumer' consumer
printf '%s passed, %s failed, %s skipped in %s.0s\n' "$passed" "$failed" "$skipped" "$((SECONDS - started))"
[ "$failed" -eq 0 ]
