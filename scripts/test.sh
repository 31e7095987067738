#!/usr/bin/env bash
# scripts/test.sh [BUILD FOLDER]: installs what is missing, builds, runs every test and the checks of the source
# tree. The last line counts all GoogleTest cases: "N passed, N failed[, N skipped]". Exit 0 only when all is well.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$root/build}

"$root/scripts/setup.sh"
"$root/scripts/build.sh" "$build"

status=0
"$root/scripts/check_format.sh" || status=1
"$root/scripts/check_includes.sh" || status=1
"$root/scripts/check_arch.sh" || status=1
"$root/scripts/run_tests.sh" "$build" || status=1
exit $status
