#!/usr/bin/env bash
# Brings the browser tests under target/e2e: playwright-core to drive Debian's Chromium, the npm client of Better Auth, a page that uses it.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=target/e2e
mkdir -p "$work"
cp tests/e2e/*.mjs tests/e2e/*.js tests/e2e/*.jsx tests/e2e/package.json "$work/"
mkdir -p "$work/upstream" && cp tests/interop/upstream/*.mjs "$work/upstream/"
cp examples/testing/sign_in.test.mjs "$work/"
rm -rf "$work/web" && cp -r clients/web/src "$work/web"
cd "$work"
npm install --silent --no-audit --no-fund --no-package-lock --legacy-peer-deps
# Node 20 is the oldest that the test runner's options are for; Debian 12 packages 18.
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then npm install --silent --no-audit --no-fund --no-package-lock --legacy-peer-deps node@22; fi
node_modules/.bin/esbuild app.jsx --bundle --format=esm --jsx=automatic --define:process.env.NODE_ENV='"production"' --outfile=app.js --log-level=warning
node_modules/.bin/esbuild spa.js --bundle --format=esm --outfile=spa.bundle.js --log-level=warning && mv spa.bundle.js spa.js
