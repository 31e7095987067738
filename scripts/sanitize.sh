#!/usr/bin/env bash
# scripts/sanitize.sh [CTEST OPTION...]: builds with AddressSanitizer and UndefinedBehaviorSanitizer into
# build-sanitize/ and runs the tests there. Slow; for instance `scripts/sanitize.sh -R io` runs the tests of one room.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

"$root/scripts/setup.sh"
"$root/scripts/build.sh" "$root/build-sanitize" -DNOISETTE_SANITIZE=ON
# libgomp keeps its thread pool until the process ends, which looks like a leak only to a stricter setting.
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
exec "$root/scripts/run_tests.sh" "$root/build-sanitize" "$@"
