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

# Kernels for the card of this machine, and PTX in any case, which the software GPU reads.
if capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .) &&
  [[ $capability =~ ^([89]|1[0-9])[0-9]$ ]]; then # older ones run none of the kernels
  set -- "-DNOISETTE_CUDA_ARCHITECTURES=$capability-real;80-virtual" "$@"
fi
cmake -G Ninja -S "$root" -B "$folder" -DCMAKE_BUILD_TYPE=Release "$@"
cmake --build "$folder" --parallel "$parallel" --target "${targets[@]}"
