#!/usr/bin/env bash
# scripts/test.sh [BUILD FOLDER]: installs what is missing, builds, runs every test and the checks of the source
# tree. The last line counts all GoogleTest cases: "N passed, N failed[, N skipped]". Exit 0 only when all is well.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$root/build}

"$root/scripts/setup.sh"
unsound=
for check in check_format check_includes check_arch; do  # seconds; before the minutes of the build
  "$root/scripts/$check.sh" || unsound+=" $check"
done
"$root/scripts/build.sh" "$build"
[[ -z $unsound ]] || echo "test: the source tree has failed, see above:$unsound"
"$root/scripts/run_tests.sh" "$build"
[[ -z $unsound ]]
