#!/usr/bin/env bash
# Installs what is missing and runs every test. Needs a Debian with Rust and build-essential, and the package registries.
#
# Everything is compiled once, with one profile and one set of features. Then three lanes run beside
# each other: tests of processes that want a quiet machine, tests that mostly wait for other programs,
# and what only computes, which gets the time that the others leave.
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
source examples/replicas/postgres.sh
clean_up_more() { pg_stop; }
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0 PREBUILT=1
export BIN_UNDER_TEST=$PWD/${CARGO_TARGET_DIR:-target}/debug/countersign
# The first build of a clone writes nothing for a next one to begin from.
[ -d "${CARGO_TARGET_DIR:-target}/debug/incremental" ] || export CARGO_INCREMENTAL=0
python=target/interop/venv/bin/python

# What the tests in other languages need; during the build.
set_up() {
  LIMIT=900 step 'set up the verifiers' bash tests/interop/setup.sh
  LIMIT=900 step 'set up the browser tests' bash tests/e2e/setup.sh
}

processes() {
  step 'build what the next release might be' tests/next_release.sh
  export NEXT_RELEASE=${BIN_UNDER_TEST}-next
  suite 'process tests' tests/nextest.sh process -E 'binary(process)'
  LIMIT=1800 suite 'three replicas behind nginx on one Postgres; a minute of chaos' \
    env CHAOS_SEED=2026 tests/nextest.sh replicas -E 'binary(process) and not test(rolling_from_the_release_before)' --run-ignored only --success-output final
  # From here on the lane mostly waits: an answer 429 comes a second late.
  LIMIT=1500 part 'openapi.yaml: schemathesis' $python tests/schemathesis.py
  part 'the set-up of the benchmarks' env SET_UP_ONLY=1 bash -euc 'for script in benches/*.sh; do "$script"; done'
}

waiting() {
  LIMIT=1500 suite 'interop: FastAPI, Go, Node; rotations under load' $python -m pytest -q -s -p no:cacheprovider tests/interop
  LIMIT=1500 suite 'a real browser: pages, the example, eight tabs, the npm client' tests/e2e/run.sh
  LIMIT=1500 suite 'the security checklist, row by row' $python -m pytest -q -p no:cacheprovider -n 6 --dist worksteal tests/security
  step 'rows of the checklist' $python tests/security/rows.py
}

computing() {
  local NICE=10 LIMIT=1800
  part clippy cargo clippy --quiet --all-targets --locked -- -D warnings
  # Naming the examples makes it the build of the tests, which is there already, and not another one.
  part documentation env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet --locked --lib --bins --examples
  part 'licences, bans, sources' cargo deny --workspace --log-level error check licenses bans sources
  part 'the client for browsers: types, tests, size, package, a strict consumer' bash tests/web.sh
  suite 'fuzz: every target, a minute in all' tests/fuzz.sh 60
}

# Every part needs Python to run in; the rest of what is missing is installed as the first part.
command -v python3 >/dev/null || tests/install.sh || exit 1
LIMIT=1800 step install tests/install.sh
part format cargo fmt --all --check
part 'commit subjects' tests/commits.sh
lane set-up set_up
LIMIT=2400 step 'build the tests' tests/nextest.sh prebuild
suite 'unit tests' tests/nextest.sh unit -E 'kind(lib) or kind(bin)'
suite 'integration tests, SQLite' tests/nextest.sh sqlite -E 'binary(it)'
skip advisories 'the advisory database cannot be fetched from the registries'
join set-up
# Losing the machine is not what these tests are about: this Postgres does not wait for the disk.
pg_start fsync=off || step 'a scratch Postgres' false
suite 'connections, Postgres' env TEST_DATABASE_URL="${PG_URL:-}" tests/nextest.sh connections -E 'kind(lib)' --run-ignored only
# They have the machine for themselves: a connection that waits too long is a refusal. Those that are left out are about SQLite's files, or
# use no database.
LIMIT=1800 suite 'integration tests, Postgres' env TEST_DATABASE_URL="${PG_URL:-}" tests/nextest.sh postgres -E 'binary(it) and not test(/sqlite::|^(architecture|contract|documents|gate|imports|settings)::/)'
lane processes processes
lane waiting waiting
lane computing computing
finish
