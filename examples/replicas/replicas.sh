#!/usr/bin/env bash
# Three replicas behind nginx on one Postgres, all from Debian's packages (postgresql, nginx) and this repository's binary.
#
#   examples/replicas/replicas.sh start [KEY=VALUE...]    settings of countersign, such as tokens.access_ttl=5m
#   examples/replicas/replicas.sh serve N [KEY=VALUE...]  start replica N (1 to 3) again
#   examples/replicas/replicas.sh stop
#
# BIN is the binary (target/release/countersign), DIR where everything is kept (examples/replicas/run), PORT the balancer's port (4000);
# the replicas take the three after it and Postgres one of its own. Every process writes its number to DIR/*.pid.
set -euo pipefail
export PATH="$PATH:/usr/sbin"
here=$(cd "$(dirname "$0")" && pwd)
source "$here/postgres.sh"
BIN=$(realpath "${BIN:-$here/../../target/release/countersign}")
DIR=$(realpath -m "${DIR:-$here/run}")
PORT=${PORT:-4000}

serve() {
  local n=$1 flags=() setting
  shift
  for setting in "$@"; do flags+=(--set "$setting"); done
  mkdir -p "$DIR"
  cd "$DIR"
  # No terminal's interrupt is meant for a replica.
  setsid "$BIN" --set server.listen="127.0.0.1:$((PORT + n))" --set server.public_url="http://localhost:$PORT" \
    --set server.ops_listen="127.0.0.1:$((9400 + n))" \
    --set server.trusted_proxies=127.0.0.1/32 --set database.url="$(cat postgres.url)" --set keys.dir="$DIR/keys" "${flags[@]}" \
    </dev/null >>"replica-$n.log" 2>&1 &
  echo $! >"replica-$n.pid"
}

# until_ready PORT PATH
until_ready() {
  local tries=300
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$1$2"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "nothing answers on port $1; see $DIR" >&2; return 1; }
    sleep 0.1
  done
}

start() {
  local n
  mkdir -p "$DIR/tmp"
  pg_start
  echo "$PG_PID" >"$DIR/postgres.pid"
  echo "$PG_DIR" >"$DIR/postgres.dir"
  echo "$PG_URL" >"$DIR/postgres.url"
  # At once: the first to come makes the tables and the keys, the others wait for it.
  for n in 1 2 3; do (serve "$n" "$@"); done
  for n in 1 2 3; do until_ready $((PORT + n)) /health/ready; done
  sed -e "s/@PORT@/$PORT/" -e "s/@A@/$((PORT + 1))/" -e "s/@B@/$((PORT + 2))/" -e "s/@C@/$((PORT + 3))/" "$here/nginx.conf" >"$DIR/nginx.conf"
  nginx -p "$DIR" -c "$DIR/nginx.conf" -e "$DIR/error.log"
  until_ready "$PORT" /api/auth/ok
  echo "serving on http://127.0.0.1:$PORT; replicas on $((PORT + 1)) to $((PORT + 3)), their metrics on 9401 to 9403; everything is in $DIR"
}

# end FILE [SIGNAL]
end() {
  local pid
  pid=$(cat "$DIR/$1.pid" 2>/dev/null) || return 0
  kill "-${2:-TERM}" "$pid" 2>/dev/null || true
  pg_wait "$pid"
  rm -f "$DIR/$1.pid"
}

stop() {
  local n
  end nginx
  for n in 1 2 3; do end "replica-$n"; done
  end postgres INT
  [ ! -f "$DIR/postgres.dir" ] || rm -rf "$(cat "$DIR/postgres.dir")"
  rm -rf "$DIR"
}

case "${1:-}" in
  start | serve | stop) "$@" ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
