#!/usr/bin/env bash
# Brings the verifiers under target/interop: a virtual environment, jose from npm, the Go example built with Debian's library, and what the
# documents' blocks need.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=target/interop
mkdir -p "$work"
if [ ! -x "$work/venv/bin/pip" ]; then rm -rf "$work/venv" && python3 -m venv "$work/venv"; fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/interop/requirements.txt
rm -rf "$work/node" && mkdir -p "$work/node"
cp examples/node/package.json examples/node/server.mjs tests/interop/verify_loop.mjs "$work/node/"
(cd "$work/node" && npm install --silent --no-audit --no-fund --no-package-lock)
# jose needs Node 20; Debian 12 packages 18. The npm package `node` brings a newer one, found under node_modules/.bin.
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  (cd "$work/node" && npm install --silent --no-audit --no-fund --no-package-lock node@22)
fi
mkdir -p "$work/better_auth"
cp tests/interop/better_auth/* "$work/better_auth/"
# React Native and Expo themselves are not installed: `native_modules.mjs` stands for them.
(cd "$work/better_auth" && npm install --silent --no-audit --no-fund --no-package-lock --legacy-peer-deps)
# The providers at which users sign in; the OpenID provider asks for a newer Node than 20, and only warns.
mkdir -p "$work/upstream"
cp tests/interop/upstream/* "$work/upstream/"
(cd "$work/upstream" && npm install --silent --no-audit --no-fund --no-package-lock)
# What the TypeScript of the documents imports, and the page of the API.
mkdir -p "$work/documents"
cp tests/interop/documents/*.json "$work/documents/"
(cd "$work/documents" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts)
PATH="$PWD/$work/node/node_modules/.bin:$PATH" docs/api/build.sh >/dev/null
GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= go build -o "$work/go-backend" examples/go/main.go
# The verifiers of test_audiences.py; the one in Rust is an example of the crate.
mkdir -p "$work/verifiers"
cp tests/interop/verifiers/package.json tests/interop/verifiers/node.mjs "$work/verifiers/"
(cd "$work/verifiers" && npm install --silent --no-audit --no-fund --no-package-lock)
for verifier in go-oidc golang-jwt; do
  GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= go build -o "$work/verifiers/$verifier" "tests/interop/verifiers/$verifier/main.go"
done
