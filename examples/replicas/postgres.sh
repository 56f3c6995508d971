# Sourced: a scratch Postgres of Debian's, with a data directory and a port of its own, owned by `postgres` when we are root.
# pg_start [SETTING=VALUE...] sets PG_DIR, PG_PORT, PG_PID and PG_URL; pg_stop ends it and removes the directory.

pg_bin() {
  local newest
  newest=$(find /usr/lib/postgresql -maxdepth 1 -mindepth 1 | sort -V | tail -n 1)
  printf '%s/bin' "$newest"
}

# The server refuses to run as root.
pg_as() {
  if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups --reset-env "$@"; else "$@"; fi
}

# pg_start_at PORT [SETTING=VALUE...]
pg_start_at() {
  local options setting
  PG_PORT=$1
  options="-p $PG_PORT -k $PG_DIR -c listen_addresses=127.0.0.1 -c max_connections=300"
  for setting in "${@:2}"; do options+=" -c $setting"; done
  pg_as "$(pg_bin)/pg_ctl" -w -s -D "$PG_DIR/data" -l "$PG_DIR/data/server.log" -o "$options" start
}

pg_start() {
  local port tries=0
  PG_DIR=$(mktemp -d /tmp/countersign-postgres.XXXXXX)
  [ "$(id -u)" -ne 0 ] || chown postgres: "$PG_DIR"
  pg_as "$(pg_bin)/initdb" -D "$PG_DIR/data" -U postgres -A trust -E UTF8 --no-sync >"$PG_DIR/initdb.log" 2>&1 || return 1
  # A port that was free may be taken by the time that the server wants it; then another one is tried.
  until
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    pg_start_at "$port" "$@"
  do
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] && grep -q 'could not bind' "$PG_DIR/data/server.log" || return 1
  done
  PG_PID=$(head -n 1 "$PG_DIR/data/postmaster.pid")
  PG_URL="postgres://postgres@127.0.0.1:$PG_PORT/postgres"
}

# Until the process, which is not a child of this shell, has ended, whether or not its parent has waited for it.
pg_wait() {
  while grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>/dev/null; do sleep 0.05; done
}

# pg_restart DIR [MODE]: as a crash would with the mode `immediate`; the server keeps its settings and its port.
pg_restart() {
  pg_as "$(pg_bin)/pg_ctl" -w -s -D "$1/data" -l "$1/data/server.log" -m "${2:-fast}" restart
}

pg_stop() {
  [ -z "${PG_PID:-}" ] || { kill -INT "$PG_PID" && pg_wait "$PG_PID"; }
  [ -z "${PG_DIR:-}" ] || rm -rf "$PG_DIR"
  PG_PID='' PG_DIR=''
}
