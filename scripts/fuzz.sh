#!/usr/bin/env bash
# scripts/fuzz.sh SECONDS [TARGET...]: builds the fuzz targets (tests/fuzz/), all or those named, as in fuzz_image,
# with their sanitizers into build-fuzz/ and runs each for SECONDS, from its stored corpus when it has one. With clang
# they are libFuzzer's, guided by coverage; without it g++ builds the same targets and a driver of our own mutates the
# stored inputs.
# An input that breaks a target is kept in build-fuzz/findings/.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}
shift

compiler=g++
if command -v clang++ >/dev/null && echo 'int main(){}' | clang++ -x c++ -fsanitize=fuzzer-no-link,address - -o /dev/null 2>/dev/null; then
  compiler=clang++
fi
"$root/scripts/setup.sh"
build=$root/build-fuzz
targets=("$@") to_build=()
for target in "${targets[@]:-fuzz}"; do to_build+=(--target "$target"); done
"$root/scripts/build.sh" "${to_build[@]}" "$build" -DCMAKE_CXX_COMPILER=$compiler -DNOISETTE_FUZZ=ON -DNOISETTE_SANITIZE=ON \
  -DNOISETTE_CUDA=OFF -DCMAKE_CXX_FLAGS_RELEASE=-O1 # no input reaches a kernel

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
  if [[ $compiler == clang++ ]]; then
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
      -artifact_prefix="$build/findings/$target-")
  else
    options=(-seconds="$seconds" -seed="$(date +%s)")  # each run other inputs; a finding is kept as it is
  fi
  (cd -- "$build/findings" && "$build/bin/$target" "${options[@]}" "${inputs[@]}") || status=1
done
exit $status
