#!/usr/bin/env bash
# Measures ours beside the raw limit, as ratios in one run; prints a table and writes benches/results.md. About a quarter of an hour with the build.
# `--only postgres` leaves out the rest, `--sessions N` fills the large table with so many.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
source examples/replicas/postgres.sh
command -v wrk >/dev/null || need wrk
need postgresql
cargo build --release --bin countersign
trap pg_stop EXIT
pg_start shared_buffers=6GB max_wal_size=32GB checkpoint_timeout=1h
cargo bench --bench limits -- --postgres "$PG_URL" "$@"
