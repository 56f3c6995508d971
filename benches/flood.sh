#!/usr/bin/env bash
# What others feel while 500 connections flood the sign-in for a minute; prints a table. Some five minutes with the build; wants a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/lib.sh
command -v wrk >/dev/null || need wrk
cargo build --release --bin countersign
python3 benches/flood.py
