#!/usr/bin/env bash
# scripts/fuzz.sh SECONDS [TARGET...]: builds the fuzz targets (tests/fuzz/) with their sanitizers into build-fuzz/
# and runs each for SECONDS, from its stored corpus when it has one. Needs clang for libFuzzer.
# An input that breaks a target is kept in build-fuzz/findings/.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
shift

if ! command -v clang++ >/dev/null; then
  echo "fuzz: libFuzzer comes with clang, which is not here; install it with: apt-get install -y clang" >&2
  exit 1
fi
"$root/scripts/setup.sh"
build=$root/build-fuzz
"$root/scripts/build.sh" "$build" -DCMAKE_CXX_COMPILER=clang++ -DNOISETTE_FUZZ=ON -DNOISETTE_SANITIZE=ON

targets=("$@")
if ((${#targets[@]} == 0)); then
  for program in "$build"/bin/fuzz_*; do
    [[ -x $program ]] && targets+=("$(basename -- "$program")")
  done
fi
((${#targets[@]} > 0)) || { echo "fuzz: tests/fuzz has no target" >&2; exit 1; }

status=0
mkdir -p -- "$build/findings"
for target in "${targets[@]}"; do
  corpus=$build/corpus/$target
  stored=$root/tests/fuzz/corpus/${target#fuzz_}
  mkdir -p -- "$corpus"
  inputs=("$corpus")
  [[ ! -d $stored ]] || inputs+=("$stored")
  echo "== $target, $seconds s"
  "$build/bin/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$target-" "${inputs[@]}" || status=1
done
exit $status
