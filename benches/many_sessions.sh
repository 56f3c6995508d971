#!/usr/bin/env bash
# Ending a million sessions of one user: how long it takes, and what others feel. Prints a table for SQLite and for Postgres. Some minutes; wants a quiet
# machine.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/packages.sh
source examples/replicas/postgres.sh
need postgresql
[ -x target/interop/venv/bin/python ] || bash tests/interop/setup.sh
trap pg_stop EXIT
# As on a server in use, where the log's segments are there already and need not be filled with zeros first.
pg_start min_wal_size=4GB max_wal_size=8GB
# The tests run the set-up alone, so that a change elsewhere cannot break it unseen.
if [ -n "${SET_UP_ONLY:-}" ]; then exit 0; fi
cargo build --release --bin countersign
BIN_UNDER_TEST="$PWD/target/release/countersign" target/interop/venv/bin/python benches/many_sessions.py "sqlite://data/countersign.db" "$PG_URL"
