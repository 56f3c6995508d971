#!/usr/bin/env bash
# tests/chaos.sh [SECONDS [SEED]]: three replicas behind nginx on one Postgres, 300 clients, and servers that die, hang and come back.
# Needs what tests/all.sh installs. The seed is printed; the same seed draws the same events in the same
# order, but that a key rotation is left out when the last one was less than 16 s ago.
set -euo pipefail
cd "$(dirname "$0")/.."
export CHAOS_SECONDS=${1:-300}
[ $# -lt 2 ] || export CHAOS_SEED=$2
exec cargo nextest run --test process --run-ignored only --no-capture -E 'test(chaos_signs)'
