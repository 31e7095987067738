#!/usr/bin/env bash
# scripts/build.sh [FOLDER [CMAKE OPTION...]]: configures and builds noisette, Release, into build/ or FOLDER.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-$root/build}
(($# == 0)) || shift

cmake -G Ninja -S "$root" -B "$folder" -DCMAKE_BUILD_TYPE=Release "$@"
cmake --build "$folder" --parallel "$(nproc)"
