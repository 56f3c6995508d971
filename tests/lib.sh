# Sourced by the scripts of this folder: parts with a time each, lanes of parts that run beside each
# other, and one total at the end.
#
# Every command runs under tests/contained.py: it has a time limit, and none of its processes is left
# when it ends or when the script is interrupted. A command finds in REPORTS a folder where its test
# runners put JUnit files; tests/count.py counts what is in it.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The seconds from its start after which a script starts nothing new and ends what runs.
DEADLINE=${DEADLINE:-4500}
broken=() lanes=() lane_jobs=() current=
if [ -n "${REPORTS:-}" ]; then records=$REPORTS; else records=$(mktemp -d "${TMPDIR:-/tmp}/countersign-tests.XXXXXX"); fi
lane_name=''
export RUN_PID=$BASHPID
exec 3>&1

# Ends everything that this script has started. Scripts that start more define clean_up_more.
clean_up() {
  trap - EXIT INT TERM
  local job
  for job in $current ${lane_jobs[@]+"${lane_jobs[@]}"}; do kill -TERM "$job" 2>/dev/null; done
  for job in $current ${lane_jobs[@]+"${lane_jobs[@]}"}; do wait "$job" 2>/dev/null; done
  if declare -F clean_up_more >/dev/null; then clean_up_more; fi
  [ -n "${REPORTS:-}" ] || rm -rf "$records"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A line for the reader: into the log of the lane, if this is one, and to the terminal.
tell() {
  printf '%s\n' "$1"
  [ -z "$lane_name" ] || printf '[%s] %s\n' "$lane_name" "$1" >&3
}

# contained SECONDS COMMAND...
contained() {
  local seconds=$1 left=$((DEADLINE - SECONDS))
  shift
  [ "$left" -gt "$seconds" ] || seconds=$((left > 0 ? left : 1))
  exec nice -n "${NICE:-0}" python3 "$here/contained.py" "$seconds" "$@"
}

# run WEIGHT NAME COMMAND...: the weight is what a command that reports no test counts for: 0 or 1, or
# `tests` if such a command has failed. LIMIT (600) is its time limit in seconds, NICE its niceness.
run() {
  local weight=$1 name=$2 status=0 folder p f s wall cpu
  shift 2
  folder=$(mktemp -d "$records/part.XXXXXX")
  printf '\n=== %s\n' "$name"
  # A function of the script has no process of its own to contain.
  if declare -F "$1" >/dev/null; then
    local began=$SECONDS
    (trap - EXIT INT TERM; REPORTS=$folder "$@") </dev/null &
  else
    (trap - EXIT INT TERM; export REPORTS=$folder USAGE=$folder/usage PYTEST_ADDOPTS="--junitxml=$folder/pytest.xml"; contained "${LIMIT:-600}" "$@") </dev/null &
  fi
  current=$!
  wait "$current" || status=$?
  current=
  read -r wall cpu 2>/dev/null <"$folder/usage" || { wall=$((SECONDS - ${began:-SECONDS})) cpu='?'; }
  read -r p f s < <(python3 "$here/count.py" part "$folder") || { p=0 f=0 s=0; status=1; }
  if [ "$status" -eq 0 ] && [ "$((p + f + s))" -eq 0 ]; then
    if [ "$weight" = tests ]; then
      echo 'it has reported no test'
      status=1
    elif [ "$weight" -eq 1 ]; then
      printf 'check\t%s\tpassed\n' "$name" >"$folder/check.tsv"
      p=1
    fi
  fi
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
    printf 'check\t%s\tfailed\n' "$name" >"$folder/check.tsv"
    f=1
  fi
  [ "$f" -eq 0 ] || broken+=("$name")
  printf '%6s s %6s s of CPU  %s\n' "$wall" "$cpu" "$name" >>"$records/times"
  tell "--- $name: $p passed, $f failed, $s skipped, $wall s ($cpu s of CPU)"
}

# A check: it counts as one test.
part() { run 1 "$@"; }

# A runner that reports its tests.
suite() { run tests "$@"; }

# Something that must work and shows nothing.
step() { run 0 "$@"; }

# skip NAME REASON
skip() {
  printf '\n=== %s\n--- skipped: %s\n' "$1" "$2"
  printf 'check\t%s\tskipped\n' "$1" >"$(mktemp -d "$records/part.XXXXXX")/check.tsv"
}

# lane NAME FUNCTION: the parts of a function, beside everything that follows until `join NAME`. Its
# output is printed whole when it is joined; until then only the line with which each part ends.
lane() {
  local name=$1 work=$2
  (
    lane_name=$name lanes=() lane_jobs=() broken=()
    trap - EXIT
    trap '[ -z "$current" ] || { kill -TERM "$current"; wait "$current"; }; exit 143' INT TERM
    "$work"
    printf '%s\n' ${broken[@]+"${broken[@]}"} >"$records/$name.done"
  ) >"$records/$name.log" 2>&1 &
  lanes+=("$name") lane_jobs+=("$!")
}

# join NAME...: waits for lanes. A lane that did not come to its end is a failure.
join() {
  local name n line
  for name in "$@"; do
    for n in "${!lanes[@]}"; do
      [ "${lanes[n]}" = "$name" ] || continue
      wait "${lane_jobs[n]}"
      unset "lanes[n]" "lane_jobs[n]"
    done
    printf '\n##### beside the other parts: %s\n' "$name"
    cat "$records/$name.log"
    if [ -f "$records/$name.done" ]; then
      while read -r line; do [ -z "$line" ] || broken+=("$line"); done <"$records/$name.done"
    else
      broken+=("the parts beside the others: $name")
      printf 'check\t%s\tfailed\n' "$name" >"$records/$name.tsv"
    fi
  done
}

# finish: the times of all parts, what failed, and as the last line how many distinct tests there were.
finish() {
  local p f s
  if [ ${#lanes[@]} -gt 0 ]; then join "${lanes[@]}"; fi
  read -r p f s < <(python3 "$here/count.py" part "$records") || { p=0 f=1 s=0; broken+=('the count of all tests'); }
  printf '\n=== times\n'
  cat "$records/times"
  rm -f "$records/times"
  printf '%6s s in all\n' "$SECONDS"
  [ ${#broken[@]} -eq 0 ] || printf 'failed: %s\n' "${broken[@]}"
  printf '%s passed, %s failed, %s skipped\n' "$p" "$f" "$s"
  [ "$f" -eq 0 ] && [ ${#broken[@]} -eq 0 ]
}
