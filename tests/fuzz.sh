#!/usr/bin/env bash
# Runs the fuzz targets, three at a time, on stable without a sanitizer. They share SECONDS (120) of
# wall time. Prints the executions, crashes and reached counters of each target.
#
#     tests/fuzz.sh [SECONDS [TARGET...]]
#
# FUZZ_SEED chooses the inputs: a fixed number unless it is set, so that a run on the same commit repeats
# the last one. 0 draws another one.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-120}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || for source in fuzz/fuzz_targets/*.rs; do targets+=("$(basename -s .rs "$source")"); done
together=3
each=$((seconds * together / ${#targets[@]}))
[ "$each" -le "$seconds" ] || each=$seconds
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# The package of the service and `--examples` are named so that cargo chooses the features of the tests:
# what is built for them is used again.
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz_rustc.sh cargo build --quiet --locked --package countersign --package countersign-fuzz --examples "${bins[@]}"
binaries=$target_dir/debug
work=$target_dir/fuzz
rm -rf "$work/artifacts" "$work/twins"
mkdir -p "$work"
# The databases of the targets are not kept: in memory where that is possible.
if [ -d /dev/shm ] && [ -w /dev/shm ]; then scratch=/dev/shm; else scratch=${TMPDIR:-/tmp}; fi
TMPDIR=$(mktemp -d "$scratch/countersign-fuzz.XXXXXX")
trap 'rm -rf "$TMPDIR"' EXIT

one() {
  local target=$1 inputs
  inputs=("$work/corpus/$target" "$work/twins/$target")
  mkdir -p "${inputs[@]}" "$work/artifacts/$target"
  [ ! -d "fuzz/seeds/$target" ] || inputs+=("fuzz/seeds/$target")
  FUZZ_TWINS=$work/twins/$target "$binaries/$target" "${inputs[@]}" \
    -dict="fuzz/dictionaries/$target.dict" -seed="${FUZZ_SEED:-2026}" -max_total_time="$each" -max_len=2048 -timeout=60 -rss_limit_mb=1024 \
    -artifact_prefix="$work/artifacts/$target/" >"$work/$target.log" 2>&1
}
export -f one
export binaries work each TMPDIR
failed=0
printf '%s\n' "${targets[@]}" | xargs -P "$together" -I {} bash -c 'one {}' || failed=1
crashes=0
for target in "${targets[@]}"; do
  log=$work/$target.log
  runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
  found=$(find "$work/artifacts/$target" -type f ! -name 'slow-unit-*' | wc -l)
  crashes=$((crashes + found))
  # Counters of the whole program.
  reached=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  counters=$(sed -n 's/.*(\([0-9]*\) inline 8-bit counters).*/\1/p' "$log" | head -n 1)
  printf '%-14s %8s executions, %s crashes, %s of %s counters reached, %s twins accepted\n' \
    "$target" "${runs:-?}" "$found" "${reached:-?}" "${counters:-?}" "$(find "$work/twins/$target" -type f | wc -l)"
  if [ -n "$runs" ] && [ "$found" -eq 0 ]; then outcome=passed; else outcome=failed; fi
  [ -z "${REPORTS:-}" ] || printf 'fuzz\t%s\t%s\n' "$target" "$outcome" >>"$REPORTS/fuzz.tsv"
  if [ "$outcome" = failed ]; then failed=1 && tail -n 40 "$log"; fi
done
[ "$failed" -eq 0 ] && [ "$crashes" -eq 0 ]
