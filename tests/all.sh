#!/usr/bin/env bash
# Installs what is missing and runs every test. Needs a Debian with Rust and build-essential, and the package registries.
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

install() {
  need bc faketime golang-go golang-github-golang-jwt-jwt-dev python3 python3-venv || return 1
  command -v node >/dev/null && command -v npm >/dev/null || need nodejs npm || return 1
  command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest || return 1
  rustup component add rustfmt clippy >/dev/null 2>&1 || cargo clippy --version >/dev/null
}


part install install
part format cargo fmt --check
part clippy cargo clippy --quiet --all-targets -- -D warnings
part documentation env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet
part 'unit and integration tests' cargo nextest run --lib --test it --no-fail-fast --status-level fail
part 'process tests' cargo nextest run --test process --no-fail-fast --status-level fail
part 'model of the refresh decision' cargo test --quiet --test it s16_every -- --nocapture
part 'set up the verifiers' bash tests/interop/setup.sh
part 'interop: FastAPI, Go, Node; rotations under load' env COUNTERSIGN_BIN="$PWD/target/debug/countersign" target/interop/venv/bin/python -m pytest -q -s -p no:cacheprovider tests/interop
if command -v cargo-deny >/dev/null; then
  part 'licences, bans, sources' cargo deny --offline check licenses bans sources
else
  skip 'licences, bans, sources' 'cargo-deny is not installed (cargo install --locked cargo-deny)'
fi
finish
