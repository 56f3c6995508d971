#!/usr/bin/env bash
# Builds what the next release might be: this source with one migration more, beside this one and with its dependencies; prints the binary's path.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
next=$target/next-release
rm -rf "$next"
mkdir -p "$next/tests"
cp -a README.md openapi.yaml migrations src templates assets build.rs fuzz "$next"
# Another name for the program and another version of the library, that neither takes this one's place. Of the tests there is one that makes
# cargo build with the same features.
sed '/^name = "countersign"$/,/^version/s/^version = .*/version = "999.0.0"/' Cargo.lock >"$next/Cargo.lock"
sed -e '1,/^version/s/^version = .*/version = "999.0.0"/' -e '/^\[\[bin\]\]/,/^path/s/^name = .*/name = "countersign-next"/' -e 's/^default-run = .*/default-run = "countersign-next"/' \
  -e '/^\[\[test\]\]/,/^path/d' -e '/^\[\[example\]\]/,/^path/d' -e '/^\[\[bench\]\]/,/^$/d' Cargo.toml >"$next/Cargo.toml"
echo '//! Nothing.' >"$next/tests/nothing.rs"
for database in sqlite postgres; do
  cat >"$next/migrations/$database/9001_next.sql" <<'SQL'
ALTER TABLE users ADD COLUMN nickname TEXT;
ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE signing_keys ADD COLUMN note TEXT;
CREATE TABLE next_things (id TEXT NOT NULL PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users (id));
SQL
done
# It can do without.
sed -i 's/^const DISPENSABLE: .*/const DISPENSABLE: \&[i64] = \&[9001];/' "$next/src/store/engine/migrate.rs"
cd "$next"
CARGO_TARGET_DIR=$target cargo test --quiet --locked --no-run --bin countersign-next --test nothing >&2
echo "$target/debug/countersign-next"
