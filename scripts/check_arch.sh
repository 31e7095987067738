#!/usr/bin/env bash
# Do the CPU kernels compile for every instruction set that cmake/NoisetteCompiler.cmake chooses from, not only for
# this machine's? Syntax and warnings only; what another machine computes is tested there.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if [[ $(uname -m) != x86_64 ]]; then
  echo "check_arch: not an x86-64 machine; skipped"
  exit 0
fi

sets=("x86-64" "x86-64-v3" "x86-64-v4 -mprefer-vector-width=512" "x86-64-v4 -mprefer-vector-width=512 -mavx512bf16")
warnings=(-Wall -Wextra -Werror)  # and the false alarms of NoisetteCompiler.cmake
if (($(g++ -dumpversion | cut -d. -f1) < 13)); then warnings+=(-Wno-restrict); else warnings+=(-Wno-dangling-reference); fi
files=(kernels/cpu/*.cpp)

status=0
for set in "${sets[@]}"; do
  # shellcheck disable=SC2086  # a set is several words
  printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" \
    g++ -std=c++20 -fopenmp -I. -fsyntax-only "${warnings[@]}" -march=$set || status=1
done
((status == 0)) && echo "check_arch: ${#files[@]} files are fine for ${#sets[@]} instruction sets"
exit $status
