#!/usr/bin/env bash
# What others feel while 500 connections flood the sign-in for a minute; prints a table. Some five minutes with the build; wants a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/packages.sh
command -v wrk >/dev/null || need wrk
# The tests run the set-up alone, so that a change elsewhere cannot break it unseen.
if [ -n "${SET_UP_ONLY:-}" ]; then exit 0; fi
cargo build --release --bin countersign
python3 benches/flood.py
