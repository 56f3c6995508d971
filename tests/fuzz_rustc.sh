#!/usr/bin/env bash
# The compiler for the fuzz targets (RUSTC_WORKSPACE_WRAPPER): cargo calls it for the packages of this workspace alone, so that their
# dependencies are those that are built for the tests already. It adds what libFuzzer needs in order to see which code an input reaches;
# the flags are those of cargo-fuzz. Build scripts and the example run by themselves and get none of it.
set -euo pipefail
case " $* " in
*' --crate-name build_script_'* | *' --crate-name verifier '* | *' --print'* | *' -vV '*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
