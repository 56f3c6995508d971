#!/usr/bin/env bash
# Measures ours beside the raw limit, as ratios in one run; prints a table and writes benches/results.md. About a quarter of an hour with the build.
# `--only postgres`, `--only sign-in` and `--only tokens` leave out the rest, `--sessions N` fills the large table with so many.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/packages.sh
source examples/replicas/postgres.sh
command -v wrk >/dev/null || need wrk
need postgresql
trap pg_stop EXIT
# The tests run each statement once, built as they are, so that a change elsewhere cannot break the benchmark unseen.
if [ -n "${SET_UP_ONLY:-}" ]; then
  pg_start fsync=off
  cargo bench --quiet --profile dev --bench limits -- --try --postgres "$PG_URL"
  exit 0
fi
pg_start shared_buffers=6GB max_wal_size=32GB checkpoint_timeout=1h
cargo build --release --bin countersign
cargo bench --bench limits -- --postgres "$PG_URL" "$@"
