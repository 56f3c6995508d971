#!/usr/bin/env bash
# What to run while you work: format, unit tests and in-process tests on SQLite, and clippy for what has
# changed since its last run. Arguments choose among the in-process tests: tests/quick.sh -E 'test(refresh)'
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0 PREBUILT=1

lint() { part clippy cargo clippy --quiet --all-targets --locked -- -D warnings; }

part format cargo fmt --all --check
step 'build the tests' tests/nextest.sh prebuild --lib --test it
# Clippy compiles while the tests run: they do not call cargo.
lane lint lint
# Their databases are in memory where there is room for them: on a disk the tests wait more than they compute. Twice as many run as there are cores.
free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
if [ "${free:-0}" -gt 2000000 ] && [ -w /dev/shm ]; then
  TMPDIR=$(mktemp -d /dev/shm/countersign-quick.XXXXXX)
  export TMPDIR
  clean_up_more() { rm -rf "$TMPDIR"; }
fi
suite 'unit tests and in-process tests, SQLite' tests/nextest.sh unit --test-threads "$((2 * $(nproc)))" "$@"
finish
