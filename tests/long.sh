#!/usr/bin/env bash
# What takes longer than tests/all.sh may: a rolling upgrade from a release before, fifty rotations under load with real verifiers and their default caches (14 minutes), five
# minutes of chaos, ten of fuzzing, eight tabs of a browser for ten minutes twice, ten mutants of tests/mutants.toml.
set -uo pipefail
cd "$(dirname "$0")/.."
DEADLINE=14400
source tests/lib.sh
export CARGO_TERM_COLOR=never LIMIT=3600
export BIN_UNDER_TEST=$PWD/${CARGO_TARGET_DIR:-target}/debug/countersign
step build cargo nextest run --no-run --locked
step 'set up the verifiers' bash tests/interop/setup.sh
suite 'fifty rotations under load' env ROTATIONS="${ROTATIONS:-50}" target/interop/venv/bin/python -m pytest -q -s -p no:cacheprovider tests/interop/test_rotations.py
part 'five minutes of chaos' tests/chaos.sh 300
# The last commit with one algorithm for all audiences.
rolling='PREVIOUS_RELEASE=$(tests/previous_release.sh 6e2a389) cargo nextest run --locked --profile replicas -E "binary(process) and test(rolling_from_the_release_before)" --run-ignored only'
LIMIT=3600 suite 'a rolling upgrade from a release before' bash -c "$rolling"
suite 'fuzz: every target, ten minutes in all, other inputs than the last time' env FUZZ_SEED=0 tests/fuzz.sh 600
step 'set up the browser tests' bash tests/e2e/setup.sh
LIMIT=7200 suite 'ten faults, drawn by the date' tests/mutants.py --sample 10
suite 'tabs that are closed while they refresh, ten minutes' env TICKETS_SECONDS=600 TEST_TIMEOUT_MS=900000 tests/e2e/run.sh ./tickets.test.mjs
suite 'eight tabs, ten minutes' env TABS_SECONDS=600 TEST_TIMEOUT_MS=900000 tests/e2e/run.sh ./tabs.test.mjs
finish
