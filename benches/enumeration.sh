#!/usr/bin/env bash
# Does time tell which addresses are known? Prints a table for SQLite and for Postgres. Some minutes; wants a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/packages.sh
source examples/replicas/postgres.sh
need postgresql
[ -x target/interop/venv/bin/python ] || bash tests/interop/setup.sh
trap pg_stop EXIT
pg_start
# The tests run the set-up alone, so that a change elsewhere cannot break it unseen.
if [ -n "${SET_UP_ONLY:-}" ]; then exit 0; fi
cargo build --release --bin countersign
BIN_UNDER_TEST="$PWD/target/release/countersign" target/interop/venv/bin/python benches/enumeration.py "sqlite://data/countersign.db" "$PG_URL"
