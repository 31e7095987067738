#!/usr/bin/env bash
# scripts/run_tests.sh BUILD [CTEST OPTION...]: runs the tests of a built folder and counts their GoogleTest cases.
# A test program that dies before it writes its results counts as one failure.
set -euo pipefail
build=${1:?usage: scripts/run_tests.sh BUILD [CTEST OPTION...]}
shift
build=$(cd -- "$build" && pwd)

results=$build/test-results
rm -rf -- "$results"
mkdir -p -- "$results"

# Waiting threads sleep instead of spinning: on a machine that is busy otherwise, spinning makes small loops crawl.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

# A trailing slash makes GoogleTest name each file after its program. One program at a time: each uses all cores.
status=0
(cd -- "$build" && GTEST_OUTPUT="xml:$results/" ctest --output-on-failure "$@") || status=1
programs=$( (cd -- "$build" && ctest -N "$@") | sed -n 's/^Total Tests: *//p')

passed=0 failed=0 skipped=0 written=0
count() { sed -n "/<testsuites /s/.* $1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1; }
for file in "$results"/*.xml; do
  [[ -e $file ]] || continue
  written=$((written + 1))
  all=$(count tests "$file")
  bad=$(count failures "$file")
  left_out=$(grep -c -E 'result="(skipped|suppressed)"|status="notrun"' "$file" || true)
  passed=$((passed + all - bad - left_out))
  failed=$((failed + bad))
  skipped=$((skipped + left_out))
done
died=$((programs - written))
if ((died > 0)); then
  echo "run_tests: of $programs test programs only $written wrote their results; each of the others counts as failed"
  failed=$((failed + died))
fi
((status == 0 || failed > 0)) || failed=1    # a failure after the results, a leak for example
((passed > 0 && failed == 0)) || status=1

if ((skipped > 0)); then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
exit $status
