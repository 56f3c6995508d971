#!/usr/bin/env bash
# The client for browsers: types, tests, size, what is packed, and a strict consumer of the package.
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
quiet=(--silent --no-audit --no-fund --no-package-lock)
work=target/web
rm -rf "$work"
mkdir -p "$work"
cp -r clients/web/{src,test,consumer} clients/web/*.{json,ts,mjs,md} "$work/"
cd "$work"
npm install "${quiet[@]}" || exit 1
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then npm install "${quiet[@]}" --no-save node@22 || exit 1; fi
PATH="$PWD/node_modules/.bin:$PATH"

# What README.md shows is one program, block after block; what it takes from around it is declared first.
snippets() {
  echo 'declare const email: string, password: string, newPassword: string, token: string;'
  awk '/^```/ { inside = !inside && /^```tsx?$/; next } inside' README.md
}
consumer() {
  snippets >consumer/readme.tsx && [ "$(wc -l <consumer/readme.tsx)" -gt 40 ] || return 1
  cd consumer && npm install "${quiet[@]}" && npm install "${quiet[@]}" --no-save ../countersign-web-*.tgz && node_modules/.bin/tsc -p .
}
pack() { npm pack 2>&1 | grep -E '^npm notice' && [ -s countersign-web-0.1.0.tgz ]; }

part 'types' tsc --noEmit
# REPORTS is the folder of that part alone.
suite 'vitest' bash -c 'vitest run --no-color --reporter=default --reporter=junit --outputFile.junit="$REPORTS/vitest.xml"'
part 'build' tsdown
part 'size' node size.mjs
part 'npm pack' pack
part 'a strict consumer' consumer
finish
