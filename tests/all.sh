#!/usr/bin/env bash
# Installs what is missing and runs every test. Needs a Debian with Rust and build-essential, and the package registries.
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
source examples/replicas/postgres.sh
trap pg_stop EXIT
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

install() {
  need postgresql nginx pgbouncer faketime golang-go golang-github-golang-jwt-jwt-dev chromium fonts-dejavu-core libssl-dev pkg-config || return 1
  python3 -c 'import ensurepip, venv' 2>/dev/null || need python3 python3-venv || return 1
  { command -v node && command -v npm; } >/dev/null || need nodejs npm || return 1
  command -v cargo-nextest >/dev/null || cargo install --quiet --locked cargo-nextest || return 1
  command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny || return 1
  { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
}

step install install
part format cargo fmt --all --check
part 'commit subjects' tests/commits.sh
part clippy cargo clippy --quiet --all-targets -- -D warnings
# There are no examples; naming them makes it the build of the tests, which is there already, and not another one.
part documentation env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet --lib --bins --examples
part 'licences, bans, sources' cargo deny --workspace --log-level error check licenses bans sources
skip advisories 'the advisory database cannot be fetched from the registries'
part 'unit tests' cargo nextest run --lib --no-fail-fast --status-level fail
part 'integration tests, SQLite' cargo nextest run --test it --no-fail-fast --status-level fail
# Losing the machine is not what these tests are about: no waiting for the disk. What they skip is about SQLite's files.
pg_start fsync=off || step 'a scratch Postgres' false
part 'connections, Postgres' env TEST_DATABASE_URL="${PG_URL:-}" cargo nextest run --lib --run-ignored only --no-fail-fast --status-level fail
part 'integration tests, Postgres' env TEST_DATABASE_URL="${PG_URL:-}" cargo nextest run --test it -E 'not test(/sqlite::/)' --no-fail-fast --status-level fail
step 'build what the next release might be' tests/next_release.sh
part 'process tests' cargo nextest run --test process --no-fail-fast --status-level fail
part 'three replicas behind nginx on one Postgres; a minute of chaos' \
  env CHAOS_SEED=2026 cargo nextest run --test process --run-ignored only --no-fail-fast --status-level fail --success-output final
step 'states of the refresh model' cargo test --quiet --test it s16_every -- --nocapture
step 'set up the verifiers' bash tests/interop/setup.sh
part 'interop: FastAPI, Go, Node; rotations under load' env BIN_UNDER_TEST="$PWD/target/debug/countersign" \
  target/interop/venv/bin/python -m pytest -q -s -p no:cacheprovider tests/interop
part 'the security checklist, row by row' env BIN_UNDER_TEST="$PWD/target/debug/countersign" \
  target/interop/venv/bin/python -m pytest -q -p no:cacheprovider -n 6 --dist worksteal tests/security
step 'rows of the checklist' target/interop/venv/bin/python tests/security/rows.py
part 'openapi.yaml: schemathesis' env BIN_UNDER_TEST="$PWD/target/debug/countersign" target/interop/venv/bin/python tests/schemathesis.py
part 'fuzz: six targets, a minute each' tests/fuzz.sh 60
part 'the client for browsers: types, tests, size, package, a strict consumer' bash tests/web.sh
step 'set up the browser tests' bash tests/e2e/setup.sh
part 'a real browser: pages, the example, eight tabs, the npm client' env BIN_UNDER_TEST="$PWD/target/debug/countersign" tests/e2e/run.sh
finish
