#!/usr/bin/env bash
# Makes one page of openapi.yaml that needs no network: target/api.html, or the file that is named. Needs Node 20.19 or newer.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(realpath -m "${1:-target/api.html}")
work=target/api
mkdir -p "$work" "$(dirname "$out")"
cp docs/api/package.json "$work/"
wanted=$(sed -n 's/.*"@redocly\/cli": "\(.*\)".*/\1/p' docs/api/package.json)
installed=$(sed -n 's/^ *"version": "\(.*\)",$/\1/p' "$work/node_modules/@redocly/cli/package.json" 2>/dev/null || true)
[ "$installed" = "$wanted" ] || (cd "$work" && npm install --silent --no-audit --no-fund --no-package-lock)
# It neither reports its use nor asks for newer versions.
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
"$work/node_modules/.bin/redocly" build-docs openapi.yaml --inlineBundle --title 'Countersign API' --output "$out.new" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
# The browser is told to load nothing: what the page needs is in it.
policy="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; worker-src blob:"
# The logo of the tool would come from elsewhere.
sed -e 's|https://cdn\.redoc\.ly/redoc/logo-mini[a-z-]*\.svg|data:,|g' -e 's/API docs by/API docs by Redoc/g' \
  -e "0,/<head>/s|<head>|<head><meta http-equiv=\"Content-Security-Policy\" content=\"$policy\">|" "$out.new" >"$out"
rm "$out.new"
grep -q 'Content-Security-Policy' "$out" || { echo "the page has no <head> that the policy could be written into" >&2; exit 1; }
echo "$out"
