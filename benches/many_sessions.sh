#!/usr/bin/env bash
# Ending a million sessions of one user: how long it takes, and what others feel. Prints a table for SQLite and for Postgres. Some minutes; wants a quiet
# machine.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
source examples/replicas/postgres.sh
need postgresql
[ -x target/interop/venv/bin/python ] || bash tests/interop/setup.sh
cargo build --release --bin countersign
trap pg_stop EXIT
pg_start
BIN_UNDER_TEST="$PWD/target/release/countersign" target/interop/venv/bin/python benches/many_sessions.py "sqlite://data/countersign.db" "$PG_URL"
