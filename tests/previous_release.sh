#!/usr/bin/env bash
# Builds the program of a commit before, from the history of this repository and beside this one; prints the binary's path.
#
#   tests/previous_release.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
commit=${1:?a commit}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
before=$target/previous-release
rm -rf "$before"
mkdir -p "$before/source"
git archive "$commit" | tar -x -C "$before/source"
cd "$before/source"
CARGO_TARGET_DIR=$before/build cargo build --quiet --locked --bin countersign >&2
echo "$before/build/debug/countersign"
