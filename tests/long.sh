#!/usr/bin/env bash
# What takes longer than tests/all.sh may: fifty rotations under load with real verifiers and their default caches (14 minutes), five
# minutes of chaos, eight tabs of a browser for ten.
set -uo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
export CARGO_TERM_COLOR=never
step build cargo nextest run --no-run
step 'set up the verifiers' bash tests/interop/setup.sh
part 'fifty rotations under load' env ROTATIONS="${ROTATIONS:-50}" BIN_UNDER_TEST="$PWD/target/debug/countersign" target/interop/venv/bin/python -m pytest -q -s -p no:cacheprovider tests/interop/test_rotations.py
part 'five minutes of chaos' tests/chaos.sh 300
step 'set up the browser tests' bash tests/e2e/setup.sh
part 'eight tabs, ten minutes' env TABS_SECONDS=600 BIN_UNDER_TEST="$PWD/target/debug/countersign" tests/e2e/run.sh ./tabs.test.mjs
finish
