#!/usr/bin/env bash
# Measures ours beside the raw limit, as ratios in one run; prints a table and writes benches/results.md. About eight minutes with the build.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
command -v wrk >/dev/null || need wrk
cargo build --release --bin countersign
cargo bench --bench limits -- "$@"
