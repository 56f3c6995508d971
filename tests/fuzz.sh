#!/usr/bin/env bash
# Every fuzz target for SECONDS (60), three at a time, on stable without a sanitizer; prints executions and crashes. By hand for longer:
# tests/fuzz.sh 3600
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# The package of the service and `--examples`, of which there are none, are named so that cargo chooses the features of the tests: what is
# built for them is used again.
bins=()
for source in fuzz/fuzz_targets/*.rs; do bins+=(--bin "$(basename -s .rs "$source")"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz_rustc.sh cargo build --quiet --locked --package countersign --package countersign-fuzz --examples "${bins[@]}"
binaries=$target_dir/debug
work=$target_dir/fuzz
rm -rf "$work/artifacts"
mkdir -p "$work"

one() {
  local target=$1
  mkdir -p "$work/corpus/$target" "$work/artifacts/$target"
  "$binaries/$target" "$work/corpus/$target" "fuzz/seeds/$target" -max_total_time="$seconds" -max_len=2048 -timeout=60 -rss_limit_mb=1024 \
    -artifact_prefix="$work/artifacts/$target/" >"$work/$target.log" 2>&1
}
export -f one
export binaries work seconds
failed=0
printf '%s\n' fuzz/fuzz_targets/*.rs | xargs -n 1 basename -s .rs | xargs -P 3 -I {} bash -c 'one {}' || failed=1
crashes=0
for source in fuzz/fuzz_targets/*.rs; do
  target=$(basename -s .rs "$source")
  runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$work/$target.log")
  found=$(find "$work/artifacts/$target" -type f ! -name 'slow-unit-*' | wc -l)
  crashes=$((crashes + found))
  printf '%-14s %10s executions, %s crashes\n' "$target" "${runs:-?}" "$found"
  if [ -n "$runs" ] && [ "$found" -eq 0 ]; then outcome=passed; else outcome=failed; fi
  [ -z "${REPORTS:-}" ] || printf 'fuzz\t%s\t%s\n' "$target" "$outcome" >>"$REPORTS/fuzz.tsv"
  if [ -z "$runs" ]; then failed=1 && tail -n 40 "$work/$target.log"; fi
done
[ "$failed" -eq 0 ] && [ "$crashes" -eq 0 ]
