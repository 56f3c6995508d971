#!/usr/bin/env bash
# Prints how much of the files that a fuzz target aims at its inputs reach, in regions and lines of the
# source. The inputs are those that tests/fuzz.sh has kept (run it first, for as long as you like), the
# twins and the seeds. Needs llvm-profdata and llvm-cov of the LLVM that rustc was built with, or a
# newer one: Debian's llvm-22, or rustup's llvm-tools.
#
#     tests/fuzz_coverage.sh [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target_dir/fuzz
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

tool() {
  local found
  for found in "$(rustc --print target-libdir)/../bin/$1" "$1-$version" "$1"; do
    if command -v "$found" >/dev/null && [ "$("$found" --version | sed -n 's/.*LLVM version \([0-9]*\).*/\1/p' | head -n 1)" -ge "$version" ]; then
      echo "$found"
      return
    fi
  done
  echo "no $1 of LLVM $version: apt-get install llvm-$version, or rustup component add llvm-tools" >&2
  return 1
}
profdata=$(tool llvm-profdata)
cov=$(tool llvm-cov)

# What each target aims at: folders and files of src/.
aims() {
  case $1 in
    cookies) echo crypto/cookie.rs flows/session/session_cache.rs flows/session/set_aside.rs flows/session/carried.rs flows/limit/known_device.rs http/edge/cookies http/edge/credentials.rs ;;
    forms) echo http/pages ;;
    forwarded) echo http/edge/client.rs model/kernel/user_agent.rs ;;
    json_bodies) echo http/api http/oauth.rs http/edge/body.rs http/edge/fields http/edge/unchecked.rs http/edge/text.rs ;;
    jwt) echo crypto/jws.rs model/token/claims.rs ;;
    mails) echo model/account/email.rs model/mail.rs crypto/mail_token.rs mail/templates.rs mail/sentences.rs mail/inbox.rs config/mail.rs ;;
    queries) echo http/edge/query.rs flows/account/administer_users.rs flows/audit/read_audit.rs store/account/user_search.rs ;;
    redirects) echo model/kernel/origin.rs model/kernel/redirect.rs http/edge/redirects.rs http/edge/origin.rs ;;
    refresh_token) echo crypto/token.rs model/session/refresh.rs flows/session/refresh.rs flows/session/refresh_job.rs store/session/refresh.rs ;;
    settings) echo config ;;
    *) echo "no file is named for $1" >&2 && return 1 ;;
  esac
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] || for source in fuzz/fuzz_targets/*.rs; do targets+=("$(basename -s .rs "$source")"); done
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz_coverage_rustc.sh cargo build --quiet --locked --package countersign --package countersign-fuzz --examples "${bins[@]}"
mkdir -p "$work/coverage"
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/countersign-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
printf '| target | inputs | regions reached | lines reached | in |\n| --- | --- | --- | --- | --- |\n'
for target in "${targets[@]}"; do
  files=()
  for aim in $(aims "$target"); do
    [ -e "src/$aim" ] || { echo "$target aims at src/$aim, which is not there" >&2 && exit 1; }
    files+=("$PWD/src/$aim")
  done
  binary=$target_dir/debug/$target
  inputs=("$work/corpus/$target")
  mkdir -p "${inputs[@]}"
  [ ! -d "fuzz/seeds/$target" ] || inputs+=("fuzz/seeds/$target")
  LLVM_PROFILE_FILE=$work/coverage/$target.profraw "$binary" -runs=0 -max_len=2048 "${inputs[@]}" >"$work/coverage/$target.log" 2>&1 ||
    { tail -n 20 "$work/coverage/$target.log" >&2 && exit 1; }
  "$profdata" merge -sparse "$work/coverage/$target.profraw" -o "$work/coverage/$target.profdata"
  "$cov" export --summary-only --instr-profile "$work/coverage/$target.profdata" "$binary" "${files[@]}" >"$work/coverage/$target.json"
  python3 - "$target" "$work/coverage/$target.json" "$(find "${inputs[@]}" -type f | wc -l)" "$(aims "$target")" <<'PYTHON'
import json, sys

target, report, inputs, files = sys.argv[1:]
total = json.load(open(report))["data"][0]["totals"]
share = lambda kind: f"{total[kind]['covered']:,} of {total[kind]['count']:,} ({total[kind]['covered'] / total[kind]['count']:.0%})"
print(f"| `{target}` | {int(inputs):,} | {share('regions')} | {share('lines')} | {', '.join(f'`{file}`' for file in files.split())} |")
PYTHON
done
