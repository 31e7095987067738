#!/usr/bin/env bash
# scripts/bundle.sh [OPTION...] [OUT.tar.xz]: the program, what scripts/gpu-check.sh needs, and every shared library they
# use, the C library too, in one archive (build/noisette-bundle.tar.xz): for machines with an NVIDIA card that have no
# network, no compiler or other versions of libraries. There: tar xf, then noisette-bundle/gpu-check.sh.
# Compiled in build/release for cards of compute capability 8.0, 8.6, 8.9 and 9.0, with PTX for later ones, and for
# CPUs with AVX2. Larger than 64 MiB it is refused.
#
#   --parallel N     compile so many files at once; default: all cores
#   --built FOLDER   pack the programs of FOLDER/bin as they are, instead of building
#   --help           this text
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
limit=$((64 << 20))
programs=(noisette test_core test_kernels test_ops test_train_cuda)

fail() {
  echo "bundle: $*" >&2
  exit 1
}
built='' parallel=$(nproc) out=''
while (($# > 0)); do
  case $1 in
    --parallel | --built)
      (($# > 1)) || fail "$1 needs a value; see --help"
      [[ $1 == --built ]] && built=$2 || parallel=$2
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    -*) fail "'$1' is unknown; see --help" ;;
    *) out=$1 ;;
  esac
  shift
done
out=${out:-$root/build/noisette-bundle.tar.xz}
[[ $out == *.tar.xz ]] || fail "the archive's name ends in .tar.xz; got '$out'"
mkdir -p -- "$(dirname -- "$out")"
out=$(cd -- "$(dirname -- "$out")" && pwd)/$(basename -- "$out")

architectures='as built'
if [[ -z $built ]]; then
  built=$root/build/release
  architectures='80-real;86-real;89-real;90'
  "$root/scripts/setup.sh"
  started=$SECONDS
  targets=()
  for program in "${programs[@]}"; do targets+=(--target "$program"); done
  "$root/scripts/build.sh" "${targets[@]}" --parallel "$parallel" "$built" \
    -DNOISETTE_ARCH=x86-64-v3 "-DNOISETTE_CUDA_ARCHITECTURES=$architectures" -DNOISETTE_SIMULATOR=OFF
  echo "bundle: built in $((SECONDS - started)) s"
fi
built=$(cd -- "$built" && pwd)
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
toolkit=$("$nvcc" --version 2>/dev/null | sed -n 's/.*, V\([0-9.]*\)$/\1/p' || true)

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch" "$out.part"' EXIT
trap 'exit 1' INT TERM
bundle=$scratch/noisette-bundle
mkdir -p "$bundle"/{bin,programs,lib,licences,bench/results}

# ---- Programs, each behind a script of its name.
for program in "${programs[@]}"; do
  [[ -x $built/bin/$program ]] || fail "$built/bin has no program $program"
  strip --strip-all -o "$bundle/programs/$program" "$built/bin/$program"
  cat >"$bundle/bin/$program" <<'END'
#!/bin/sh
# Runs the program of this name with the loader and the libraries of this bundle. The driver's library, libcuda.so.1, is
# the machine's. A folder in NOISETTE_CUDART comes before all: there the software GPU can stand in for CUDA.
here=$(cd -- "$(dirname -- "$0")/.." && pwd)
driver=
IFS=:
for folder in $LD_LIBRARY_PATH /usr/lib/wsl/lib /usr/local/nvidia/lib64 /run/opengl-driver/lib /usr/lib64/nvidia /usr/lib64 /usr/lib/x86_64-linux-gnu; do
  if [ -e "$folder/libcuda.so.1" ]; then
    driver=$folder
    break
  fi
done
unset IFS
exec "$here/lib/ld-linux-x86-64.so.2" --library-path "${NOISETTE_CUDART:+$NOISETTE_CUDART:}$here/lib${driver:+:$driver}" \
  "$here/programs/$(basename -- "$0")" "$@"
END
  chmod 755 "$bundle/bin/$program"
done

# ---- Their libraries.
mapfile -t libraries < <(for program in "${programs[@]}"; do
  env -u LD_LIBRARY_PATH ldd "$built/bin/$program"
done | awk '/not found/ { print "missing " $1; next } $3 ~ /^\// { print $3 } $1 ~ /^\/.*ld-linux/ { print $1 }' | sort -u)
for library in "${libraries[@]}"; do
  [[ $library != missing* ]] || fail "${library#missing } is not found on this machine"
  cp -L -- "$library" "$bundle/lib/"
done
[[ -e $bundle/lib/ld-linux-x86-64.so.2 ]] || fail "found no loader ld-linux-x86-64.so.2; bundles are for x86-64"
[[ -e $bundle/lib/libcudart.so.13 ]] || fail "the programs in $built are built without CUDA"
! grep -q SIM_SEED "$bundle/lib/libcudart.so.13" || fail "the programs in $built are linked to the software GPU"
rm -f "$bundle/lib/libcuda.so.1" # belongs to the driver

# ---- Licences: of each library that of its Debian package, of the CUDA runtime library NVIDIA's, which allows passing
# that library on together with a program.
cuda_licence() { # FOLDER of the library
  local candidate
  for candidate in "$1"/../dist-info/nvidia_cuda_runtime-*/licenses/License.txt "$1"/../EULA.txt "$1"/../../../EULA.txt \
    /usr/share/doc/cuda-cudart-13*/copyright; do
    [[ ! -e $candidate ]] || { echo "$candidate"; return; }
  done
}
cp -- "$root/LICENSE" "$bundle/licences/noisette"
cp -rL /usr/share/common-licenses "$bundle/licences/" # which those of the packages refer to
{
  echo "What is in lib/, unchanged, and under which licence. The sources of Debian's packages: https://snapshot.debian.org"
  for library in "${libraries[@]}"; do
    file=$(basename -- "$library")
    [[ -e $bundle/lib/$file ]] || continue
    if [[ $file == libcudart.so.* ]]; then
      package=nvidia-cuda-runtime version=$toolkit
      licence=$(cuda_licence "$(dirname -- "$(readlink -f -- "$library")")")
      [[ -n $licence ]] || fail "found no licence file of the CUDA toolkit (EULA.txt), which has to go along with $file"
    else
      real=$(readlink -f -- "$library")
      package=$(dpkg -S "$real" "${real#/usr}" 2>/dev/null | head -n 1 | cut -d: -f1 || true)
      licence=/usr/share/doc/$package/copyright version=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || true)
      [[ -n $package && -e $licence ]] || fail "found no licence file of $library, which has to go along"
    fi
    cp -L -- "$licence" "$bundle/licences/$package"
    printf '  %-24s %-22s %s\n' "$file" "$package" "$version"
  done
} >"$bundle/licences/README.txt"

# ---- What else the check needs.
cp -- "$root/scripts/gpu-check.sh" "$bundle/"
cp -r -- "$root/configs" "$bundle/"
mkdir -p "$bundle/bench/peers/models"
cp -- "$root"/bench/peers/*.py "$root/bench/peers/requirements.txt" "$bundle/bench/peers/"
cp -- "$root"/bench/peers/models/*.json "$bundle/bench/peers/models/"
cat >"$bundle/BUNDLE.txt" <<END
noisette for machines with an NVIDIA card (compute capability 8.0 or later, a driver for CUDA 13: 580 or later).

  ./gpu-check.sh         is it right on this card, and how fast? Writes bench/results/ (--help says more)
  bin/noisette --help    the program itself

Nothing is installed and nothing outside this folder is written, but for runs where you start them. It needs bash, awk,
sed and grep; PyTorch with diffusers are used where python3 has them. Licences: licences/README.txt.

commit: $(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)
date: $(date -u +%Y-%m-%d)
CUDA toolkit: $toolkit
architectures: $architectures
END

# ---- The archive. The kernels are the same bytes in each program: a dictionary that reaches over all of them keeps one.
tar --create --sort=name --owner=0 --group=0 --numeric-owner --directory "$scratch" noisette-bundle |
  xz --threads=1 --lzma2=preset=3,dict=192MiB >"$out.part"
size=$(stat -c %s "$out.part")
unpacked=$(du -sb "$bundle" | cut -f1)
((size <= limit)) || fail "the bundle would have $size bytes, more than $limit (64 MiB)"
mv -- "$out.part" "$out"
printf 'bundle: %s, %.1f MiB, unpacked %.1f MiB\n' "$out" "$((size * 10 >> 20))e-1" "$((unpacked * 10 >> 20))e-1"
