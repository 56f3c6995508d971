# Sourced by all.sh and long.sh: parts with a time each, and one total at the end.
passed=0 failed=0 skipped=0 broken=()

# part NAME COMMAND...: runs it, reads the runner's closing line, adds up. A part that fails without a count counts as one failure.
part() {
  local name=$1 log started status counted
  shift
  log=$(mktemp) started=$SECONDS status=0
  printf '\n=== %s\n' "$name"
  "$@" > >(tee "$log") 2>&1 || status=$?
  wait
  # Colours off; nextest: "N tests run: N passed, N failed, N skipped"; pytest: "N passed, N failed, N skipped in".
  counted=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '(^|[ =])[0-9]+ (passed|failed|error)' | grep -vE '^test result' | tail -n 1)
  local p f s
  p=$(grep -oE '[0-9]+ passed' <<<"$counted" | grep -oE '[0-9]+' || echo 0)
  f=$(grep -oE '[0-9]+ (failed|errors?)' <<<"$counted" | grep -oE '[0-9]+' | paste -sd+ | bc 2>/dev/null || true)
  s=$(grep -oE '[0-9]+ skipped' <<<"$counted" | grep -oE '[0-9]+' || echo 0)
  f=${f:-0}
  if [ -z "$counted" ] && [ "$status" -eq 0 ]; then p=1; fi
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ "$status" -ne 0 ]; then broken+=("$name"); fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  printf -- '--- %s: %s passed, %s failed, %s skipped, %s s\n' "$name" "$p" "$f" "$s" "$((SECONDS - started))"
  rm -f "$log"
}

# skip NAME REASON
skip() {
  printf '\n=== %s\n--- skipped: %s\n' "$1" "$2"
  skipped=$((skipped + 1))
}

finish() {
  printf '\n%s s in all\n' "$SECONDS"
  [ ${#broken[@]} -eq 0 ] || printf 'failed parts: %s\n' "${broken[*]}"
  printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] && [ ${#broken[@]} -eq 0 ]
}

# Debian packages that are missing; as root, or with sudo where there is one.
need() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local as=()
  [ "$(id -u)" -eq 0 ] || as=(sudo)
  DEBIAN_FRONTEND=noninteractive "${as[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
