# Sourced by all.sh and long.sh: parts with a time each, and one total at the end.
passed=0 failed=0 skipped=0 broken=()

# The last count of a kind ("passed", "failed", …) on the runner's closing line.
count() {
  grep -oE "[0-9]+ $2" <<<"$1" | tail -n 1 | grep -oE '[0-9]+' || echo 0
}

# run WEIGHT NAME COMMAND...: a command without a closing line of counts weighs WEIGHT when it succeeds; a failure weighs at least one.
run() {
  local weight=$1 name=$2 log started=$SECONDS status=0 closing p f s
  shift 2
  log=$(mktemp)
  printf '\n=== %s\n' "$name"
  "$@" >"$log" 2>&1 &
  local job=$!
  tail -n +1 -f --pid="$job" "$log" &
  local show=$!
  wait "$job" || status=$?
  wait "$show"
  # nextest: "Summary [..] N tests run: N passed, N failed, N skipped"; pytest: "N failed, N passed in ..".
  closing=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '(Summary \[.*tests? run:|^=* ?[0-9]+ (passed|failed|skipped|errors?).* in [0-9.]+s)' | tail -n 1)
  p=$(count "$closing" passed)
  f=$(($(count "$closing" failed) + $(count "$closing" 'errors?')))
  s=$(count "$closing" skipped)
  if [ "$status" -eq 0 ] && [ -z "$closing" ]; then p=$weight; fi
  if [ "$status" -ne 0 ]; then
    [ "$f" -gt 0 ] || f=1
    broken+=("$name")
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf -- '--- %s: %s passed, %s failed, %s skipped, %s s\n' "$name" "$p" "$f" "$s" "$((SECONDS - started))"
  rm -f "$log"
}

# A check, or a runner that counts by itself.
part() { run 1 "$@"; }

# Something that must work and proves nothing.
step() { run 0 "$@"; }

# skip NAME REASON
skip() {
  printf '\n=== %s\n--- skipped: %s\n' "$1" "$2"
  skipped=$((skipped + 1))
}

finish() {
  printf '\n%s s in all\n' "$SECONDS"
  [ ${#broken[@]} -eq 0 ] || printf 'failed parts: %s\n' "${broken[*]}"
  printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ]
}

# Debian packages that are missing; as root, or with sudo where there is one.
need() {
  local missing=() package as=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || as=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  "${as[@]}" apt-get update -qq && "${as[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
