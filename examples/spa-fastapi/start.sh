#!/usr/bin/env bash
# One command for all three: Countersign on :4000, the backend on :8000, the page on :5173. Ctrl-C ends them.
# Needs Rust, Python 3.11 and Node 20.19 or newer. AUTH_PORT, API_PORT, APP_PORT, BIN, PYTHON and DATA say otherwise.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
auth=http://localhost:${AUTH_PORT:=4000} api=http://localhost:${API_PORT:=8000} app=http://localhost:${APP_PORT:=5173}
data=${DATA:-$PWD/data}
mkdir -p "$data"
npm=(npm install --silent --no-audit --no-fund --no-package-lock)

if [ -z "${BIN:-}" ]; then
  cargo build --release --manifest-path "$root/Cargo.toml"
  BIN=$root/target/release/countersign
fi
if [ -z "${PYTHON:-}" ]; then
  [ -x "$data/venv/bin/uvicorn" ] || { python3 -m venv "$data/venv" && "$data/venv/bin/pip" install -q -r backend/requirements.txt; }
  PYTHON=$data/venv/bin/python
fi
[ -f "$root/clients/web/dist/index.js" ] || (cd "$root/clients/web" && "${npm[@]}" && npm run --silent build)
[ -x node_modules/.bin/vite ] || "${npm[@]}"

running=()
trap 'kill "${running[@]}" 2>/dev/null; wait' EXIT
trap 'exit 0' INT TERM
(cd "$data" && exec "$BIN" --set "server.listen=127.0.0.1:$AUTH_PORT" --set "server.public_url=$auth" --set "server.trusted_origins=$app" ${SETTINGS:-} serve) &
running+=($!)
ISSUER=$auth APP=$app NOTES=$data/notes.db "$PYTHON" -m uvicorn main:app --app-dir backend --port "$API_PORT" --log-level warning &
running+=($!)
VITE_AUTH=$auth VITE_API=$api node_modules/.bin/vite --port "$APP_PORT" --strictPort --host localhost --clearScreen false &
running+=($!)
# Whichever ends takes the others along.
wait -n
