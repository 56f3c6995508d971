#!/usr/bin/env bash
# The compiler for tests/fuzz_coverage.sh (RUSTC_WORKSPACE_WRAPPER), as tests/fuzz_rustc.sh is for
# tests/fuzz.sh: the packages of this workspace count which regions of their source run.
set -euo pipefail
case " $* " in
*' --crate-name build_script_'* | *' --print'* | *' -vV '*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Cinstrument-coverage
