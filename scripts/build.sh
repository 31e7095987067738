#!/usr/bin/env bash
# scripts/build.sh [--target NAME]... [--parallel N] [FOLDER [CMAKE OPTION...]]: configures and builds, Release, into
# build/ or FOLDER. Without --target everything is built, the tests too; `--target noisette` builds the program alone.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
targets=() parallel=$(nproc)
while [[ ${1:-} == --target || ${1:-} == --parallel ]]; do
  [[ $1 == --target ]] && targets+=("$2") || parallel=$2
  shift 2
done
((${#targets[@]} > 0)) || targets=(all)
folder=${1:-$root/build}
(($# == 0)) || shift

# Kernels for the card of this machine; without one PTX alone, which the software GPU reads.
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
  set -- -DNOISETTE_CUDA_ARCHITECTURES=native "$@"
fi
cmake -G Ninja -S "$root" -B "$folder" -DCMAKE_BUILD_TYPE=Release "$@"
cmake --build "$folder" --parallel "$parallel" --target "${targets[@]}"
