#!/usr/bin/env bash
# Installs what the tests need and what is missing: Debian's packages, Node, cargo's tools.
set -uo pipefail
cd "$(dirname "$0")/.."

source tests/packages.sh

python3 -c 'import ensurepip, venv' 2>/dev/null || need python3 python3-venv || exit 1
need zsh curl jq postgresql nginx caddy pgbouncer faketime golang-go golang-github-golang-jwt-jwt-dev golang-github-coreos-go-oidc-dev chromium fonts-dejavu-core libssl-dev pkg-config wrk openssl systemd || exit 1
{ command -v node && command -v npm; } >/dev/null || need nodejs npm || exit 1
command -v cargo-nextest >/dev/null || cargo install --quiet --locked cargo-nextest || exit 1
command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny || exit 1
{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
