#!/usr/bin/env bash
# Installs the Debian packages that noisette is built from (Debian 12 and 13; Ubuntu 24.04 has the same names).
# Quick when nothing is missing. Without root and without sudo it prints the line for an administrator and stops.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache mold pkg-config
  libdnnl-dev libhdf5-dev libfmt-dev libspdlog-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
  libpng-dev libjpeg-dev libxxhash-dev zlib1g-dev libgtest-dev
  dataset-fashion-mnist
)
# The software GPU, which is built where a CUDA toolkit is, reads what nvcc compressed.
if command -v nvcc >/dev/null || [[ -x /usr/local/cuda/bin/nvcc ]]; then
  packages+=(libzstd-dev liblz4-dev)
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not a Debian system; install what these Debian packages hold: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "setup: all ${#packages[@]} packages are installed"
  exit 0
fi

echo "setup: missing: ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  # sudo helps when it needs no password, or when a person is there to type one.
  if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
    as_root=(sudo)
  else
    echo "setup: neither root nor sudo here; please hand this line to an administrator:" >&2
    echo "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends "${missing[@]}"
echo "setup: installed ${#missing[@]} packages"
