#!/usr/bin/env bash
# A tour with curl: sign up, call a backend, refresh, rotate the keys, steal a refresh token, sign out.
# Runs in bash and zsh and needs Rust, curl and Python with venv. It starts a service and a backend of its own, in a
# temporary folder that is deleted at the end. AUTH_PORT, API_PORT, BIN and PYTHON override what it uses.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
auth_port=${AUTH_PORT:-4400} api_port=${API_PORT:-8400}
public=http://localhost:$auth_port
base=$public/api/auth api=http://localhost:$api_port
work=$(mktemp -d "${TMPDIR:-/tmp}/countersign-tour.XXXXXX")
service='' backend=''

clean_up() {
  trap - EXIT
  for process in "$service" "$backend"; do
    if [ -n "$process" ]; then
      kill "$process" 2>/dev/null || true
      wait "$process" 2>/dev/null || true
    fi
  done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf 'tour: %s\n' "$1" >&2
  exit 1
}

# until_answer URL PROCESS LOG: waits for an answer of any status, 30 seconds at most.
until_answer() {
  tries=0
  until curl -s -o "$work/answer" "$1"; do
    tries=$((tries + 1))
    kill -0 "$2" 2>/dev/null || fail "it did not start: $(tail -n 5 "$3")"
    [ "$tries" -lt 300 ] || fail "no answer from $1 in 30 seconds: $(tail -n 5 "$3")"
    sleep 0.1
  done
}

# field NAME: a member of the last answer.
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$work/answer" "$1"; }

# call STATUS WHAT CURL-ARGUMENTS...: one request; prints its status, and ends the tour if it is another one.
call() {
  expected=$1 what=$2
  shift 2
  code=$(curl -sS -o "$work/answer" -w '%{http_code}' "$@") || code=none
  printf '%-4s %s\n' "$code" "$what"
  [ "$code" = "$expected" ] || fail "expected $expected, got $code: $(cat "$work/answer")"
}

# refresh STATUS WHAT TOKEN
refresh() { call "$1" "$2" "$base/refresh" -H 'content-type: application/json' -d "{\"refreshToken\":\"$3\"}"; }

# keys STATUS WHAT ARGUMENTS...: one command of the program, which works beside the running service.
keys() {
  expected=$1 what=$2 code=0
  shift 2
  (cd "$work" && "$bin" keys "$@") >"$work/answer" 2>&1 || code=$?
  printf '%-4s %s\n' "$code" "$what"
  [ "$code" = "$expected" ] || fail "expected the exit status $expected, got $code: $(cat "$work/answer")"
}

# ---- what the tour needs

if [ -z "${BIN:-}" ]; then
  (cd "$root" && cargo build --release --quiet --locked)
  bin=$root/target/release/countersign
else
  bin=$BIN
fi
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/examples/fastapi/requirements.txt"
  PYTHON=$work/venv/bin/python
fi

# ---- the service; the two windows of a refresh are 2 s instead of 30 s and 50 s, so that the tour is short

(cd "$work" && exec "$bin" --set "server.listen=127.0.0.1:$auth_port" --set "server.public_url=$public" --set server.ops_listen=off \
  --set sessions.refresh_grace=2s --set sessions.refresh_cooldown=2s serve) >"$work/service.log" 2>&1 &
service=$!
until_answer "$public/health" "$service" "$work/service.log"
call 200 'the service answers' "$public/health"

# ---- accounts and sessions

account='{"name":"Ana","email":"ana@example.com","password":"correct horse battery"}'
call 200 'sign up: two cookies and an access token' "$base/sign-up/email" -c "$work/jar" -H 'content-type: application/json' -d "$account"
call 200 'the session, by the cookie' "$base/session" -b "$work/jar"
native='{"email":"ana@example.com","password":"correct horse battery","tokenDelivery":"body"}'
call 200 'sign in as an app does: the tokens are in the body' "$base/sign-in/email" -H 'content-type: application/json' -d "$native"
access=$(field accessToken) first=$(field refreshToken)
call 200 'the session, by the access token' "$base/session" -H "authorization: Bearer $access"

# ---- a backend that knows the JWKS URL and nothing else

(cd "$root/examples/fastapi" && ISSUER=$public PYTHONDONTWRITEBYTECODE=1 exec "$PYTHON" -m uvicorn main:app --port "$api_port" --log-level warning) >"$work/backend.log" 2>&1 &
backend=$!
until_answer "$api/me" "$backend" "$work/backend.log"
call 401 'the backend, without a token' "$api/me"
call 200 'the backend, with the access token' "$api/me" -H "authorization: Bearer $access"

# ---- refresh

refresh 200 'refresh: a new access token, and the next refresh token' "$first"
second=$(field refreshToken)
refresh 200 'the answer was lost: the same refresh token gives the same successor' "$first"
[ "$(field refreshToken)" = "$second" ] || fail 'the successor is another one'

# ---- keys: these numbers are exit statuses

keys 0 'countersign keys list' list
keys 1 'countersign keys rotate: refused, the next key is not yet known everywhere' rotate
keys 0 'countersign keys rotate --force' rotate --force
call 200 'the backend, with the old access token: it is still valid' "$api/me" -H "authorization: Bearer $access"

# ---- a thief has copied the first refresh token

sleep 3
refresh 200 'the user refreshes, with the successor' "$second"
third=$(field refreshToken)
refresh 401 'a thief uses the first refresh token again' "$first"
printf '       %s\n' "$(field code)"
refresh 401 'the session has ended, for the user too' "$third"
printf '       %s\n' "$(field code)"

# ---- in a browser

call 200 'the page to sign in' "$public/auth/sign-in"
if [ -t 0 ]; then
  printf '\nOpen %s/auth in a browser and sign in: ana@example.com, correct horse battery.\nEnter ends the tour. ' "$public"
  read -r answer
fi
call 200 'sign out' "$base/sign-out" -b "$work/jar" -H 'content-type: application/json' -d '{}'
call 401 'the session, by the old cookie' "$base/session" -b "$work/jar"
