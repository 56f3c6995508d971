#!/usr/bin/env bash
# Checks the form of the subjects of all commits after START; docs/style.md has the rules. Without START in the history (a shallow clone, an
# exported tree) there is nothing to compare with, and nothing is checked.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
start=${1:-f1b5d8e4953bbda6338d1f0a38bb896876e27864}
most=72
forbidden='nobody|somebody|anybody|whoever|of late|worth nothing|wip|fixup!|squash!|amend!'

if ! git merge-base --is-ancestor "$start" HEAD 2>/dev/null; then
  echo "commit subjects: not checked, because ${start:0:7} is not in this history"
  exit 0
fi
checked=0 wrong=0
report() {
  printf '%s: %s: %s\n' "$1" "$2" "$3"
  wrong=$((wrong + 1))
}
while IFS=$'\t' read -r commit subject; do
  checked=$((checked + 1))
  [ ${#subject} -le $most ] || report "$commit" "${#subject} characters, at most $most" "$subject"
  [[ $subject =~ ^[[:upper:]] ]] || report "$commit" 'does not begin with a capital letter' "$subject"
  [[ $subject != *. ]] || report "$commit" 'ends with a full stop' "$subject"
  ! grep -qiwE "$forbidden" <<<"$subject" || report "$commit" "contains one of $forbidden" "$subject"
done < <(git log --no-merges --format='%h%x09%s' "$start..HEAD")
echo "commit subjects: $checked checked, $wrong wrong"
[ "$wrong" -eq 0 ]
