#!/usr/bin/env bash
# Measures ours beside the raw limit, as ratios in one run; prints a table and writes benches/results.md. About four minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v wrk >/dev/null; then
  apt-get install -y --no-install-recommends wrk >/dev/null || { echo "install wrk first" >&2; exit 1; }
fi
cargo build --release --bin countersign
cargo bench --bench limits -- "$@"
