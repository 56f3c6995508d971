#!/usr/bin/env bash
# tests/nextest.sh PROFILE [ARGUMENT...]: runs Rust tests with nextest. The profile (.config/nextest.toml)
# names the report; it goes to REPORTS, if that is set. With PREBUILT=1 it runs what
# `tests/nextest.sh prebuild [--lib] [--test NAME]` has built (all of it without arguments) and does not
# call cargo, which would wait for other builds.
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=${RUST_BACKTRACE:-0}
work=${CARGO_TARGET_DIR:-target}/nextest
profile=$1
shift

if [ "$profile" = prebuild ]; then
  mkdir -p "$work"
  cargo nextest run --no-run --locked "$@" || exit 1
  cargo metadata --format-version 1 --locked >"$work/metadata.json" || exit 1
  cargo nextest list --locked --list-type binaries-only --message-format json "$@" >"$work/binaries.json" || exit 1
  # Every test that there is: what no part runs counts as skipped.
  [ -z "${REPORTS:-}" ] || [ $# -gt 0 ] || cargo nextest list --locked --run-ignored all --message-format json | python3 tests/count.py list >"$REPORTS/all.tsv"
  exit
fi

options=(--profile "$profile" --no-fail-fast --status-level fail)
if [ -n "${PREBUILT:-}" ]; then
  options+=(--binaries-metadata "$work/binaries.json" --cargo-metadata "$work/metadata.json")
else
  options+=(--locked)
fi
rm -f "$work/$profile/junit.xml"
status=0
cargo nextest run "${options[@]}" "$@" || status=$?
if [ -n "${REPORTS:-}" ]; then cp "$work/$profile/junit.xml" "$REPORTS/" || status=1; fi
exit "$status"
