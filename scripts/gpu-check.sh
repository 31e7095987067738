#!/usr/bin/env bash
# scripts/gpu-check.sh [OPTION...]: is noisette right on this machine's NVIDIA card, and how fast is it there?
# Builds, runs every test that computes on a CUDA device, times training and sampling, beside PyTorch where python3 has
# it with CUDA, and writes bench/results/CARD.json and CARD.md. From an unpacked bundle (scripts/bundle.sh) nothing is
# built. Exit code 0: all is well; 1: something failed, and the files say what; 2: there is nothing to run, or nothing
# to run on.
#
#   --sanitize       run the tests under compute-sanitizer too: memcheck, and racecheck for those of the kernels
#   --quick          some of the tests and a tiny network, to try the script itself; the files are CARD-quick.*
#   --built FOLDER   use the programs in FOLDER/bin instead of building
#   --out FOLDER     write there instead of into bench/results
#   --simulated      on the software GPU (simulator/) instead of a card, which is slow; the files are simulated-*
#   --help           this text
# CUDA_VISIBLE_DEVICES chooses among several cards; PYTHON names another python3 with PyTorch and diffusers.
set -euo pipefail

usage_error() {
  echo "gpu-check: $*; see --help" >&2
  exit 2
}
fail() {
  echo "gpu-check: $*" >&2
  exit 2
}

sanitize='' quick='' simulated='' built='' out=''
while (($# > 0)); do
  case $1 in
    --sanitize) sanitize=1 ;;
    --quick) quick=1 ;;
    --simulated) simulated=1 ;;
    --built | --out)
      (($# > 1)) || usage_error "$1 needs a folder"
      [[ $1 == --built ]] && built=$2 || out=$2
      shift
      ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) usage_error "'$1' is unknown" ;;
  esac
  shift
done

# ---- Where we are: in a bundle, with programs beside this script, or in the source tree.
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
bundle=''
if [[ -e $here/BUNDLE.txt ]]; then
  bundle=1 root=$here
  built=${built:-$here}
else
  root=$(cd -- "$here/.." && pwd)
fi
[[ -z $built ]] || built=$(cd -- "$built" && pwd) || usage_error "--built names no folder"
out=${out:-$root/bench/results}
mkdir -p -- "$out"
out=$(cd -- "$out" && pwd)
cd -- "$root"

# ---- The card.
command -v nvidia-smi >/dev/null ||
  fail "there is no nvidia-smi on this machine, so no NVIDIA driver; noisette runs on the CPU here (scripts/demo.sh)"
export CUDA_DEVICE_ORDER=PCI_BUS_ID # the order of nvidia-smi
chosen=${CUDA_VISIBLE_DEVICES:-0}
card_line=$(nvidia-smi --id="${chosen%%,*}" --query-gpu=name,driver_version,compute_cap,memory.total --format=csv,noheader 2>&1) ||
  fail "nvidia-smi finds no card '${chosen%%,*}': ${card_line//$'\n'/ }"
IFS=',' read -r card driver capability memory <<<"${card_line%%$'\n'*}"
driver=${driver# } capability=${capability# } memory=${memory# }
driver_cuda=$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p' | head -n 1 || true)
if [[ -z $simulated ]]; then
  [[ ! $capability =~ ^[0-7]\. ]] ||
    fail "noisette's kernels need compute capability 8.0 or later; $card has $capability"
  [[ ! $driver_cuda =~ ^([0-9]|1[0-2])\. ]] ||
    fail "noisette needs a driver for CUDA 13 or later (580 or later); driver $driver is for CUDA $driver_cuda"
fi

# ---- The programs. Of the tests, those that compute on the device; the others are for scripts/test.sh.
programs=(test_core test_kernels test_ops test_train_cuda)
if [[ -z $built ]]; then
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  [[ -x $nvcc ]] ||
    fail "there is no CUDA toolkit (nvcc) of version 13 here to build with; scripts/bundle.sh on a machine that has one makes a bundle"
  toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
  [[ ! $toolkit =~ ^([0-9]|1[0-2])\. ]] ||
    fail "noisette needs a CUDA toolkit of version 13 or later to build with; $nvcc is of $toolkit; scripts/bundle.sh on a machine that has one makes a bundle"
  built=$root/build
  scripts/setup.sh || fail "scripts/setup.sh ended with $?, see above; nothing was built"
  targets=(--target noisette)
  for program in "${programs[@]}" ${simulated:+simulator}; do targets+=(--target "$program"); done
  scripts/build.sh "${targets[@]}" "$built" || fail "scripts/build.sh ended with $?, see above; nothing was run"
fi
for program in noisette "${programs[@]}"; do
  [[ -x $built/bin/$program ]] || fail "$built/bin has no program $program"
done

# Which library stands for CUDA's is decided here: never the software GPU by accident, always it when asked.
is_software_gpu() { [[ -e $1/libcudart.so.13 ]] && grep -q SIM_SEED "$1/libcudart.so.13"; }
kept='' software_gpu=''
IFS=':' read -r -a folders <<<"${LD_LIBRARY_PATH:-}"
for folder in "${folders[@]}" "$built/simulator"; do
  if [[ -n $folder ]] && is_software_gpu "$folder"; then
    software_gpu=${software_gpu:-$(cd -- "$folder" && pwd)}
  elif [[ -n $folder && $folder != "$built/simulator" ]]; then
    kept+=${kept:+:}$folder
  fi
done
library_path=$kept
if [[ -n $simulated ]]; then
  [[ -n $software_gpu ]] || fail "--simulated found no software GPU in $built/simulator or on LD_LIBRARY_PATH"
  library_path=$software_gpu${kept:+:$kept}
  export NOISETTE_CUDART=$software_gpu # for the wrappers of a bundle
  card="$card (simulated)"
else
  unset NOISETTE_CUDART
fi

# A name for files: "NVIDIA GeForce RTX 4090" is geforce-rtx-4090.
name=$(tr '[:upper:]' '[:lower:]' <<<"${card% (simulated)}" | sed 's/[^a-z0-9]\{1,\}/-/g; s/^-*//; s/-*$//; s/^nvidia-//')
[[ -z $simulated ]] || name=simulated-$name
[[ -z $quick ]] || name+=-quick

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch" "$out/.$name".*' EXIT
trap 'exit 1' INT TERM

step() { printf '\n== %s\n' "$*"; }
failures=()

# text VALUE: a JSON string.
text() {
  local s
  s=$(tr -d '\000-\010\013-\037' <<<"$1")
  s=${s//\\/\\\\}
  s=${s//\"/\\\"}
  s=${s//$'\n'/\\n}
  printf '"%s"' "${s//$'\t'/\\t}"
}
# list VALUE...: a JSON list of strings.
list() {
  local s separator=
  printf '['
  for s in "$@"; do
    printf '%s' "$separator"
    text "$s"
    separator=', '
  done
  printf ']'
}

# ---- Tests. What computes on the device: the op suite against f64, and all whose suite is named for CUDA.
tests_json=() tests_rows=()
# run_test NAME PROGRAM FILTER [COMMAND...]: PROGRAM, behind COMMAND.
run_test() {
  local what=$1 program=$2 filter=$3 code=0 started=$SECONDS
  local xml=$scratch/$what.xml log=$scratch/$what.log
  shift 3
  local environment=(LD_LIBRARY_PATH="$library_path" NOISETTE_REQUIRE_CUDA=1 NOISETTE_TEST_DEVICE=cuda
    OMP_WAIT_POLICY=passive GTEST_OUTPUT="xml:$xml")
  if [[ -n $quick && $program != test_core ]]; then
    environment+=(GTEST_TOTAL_SHARDS=40 GTEST_SHARD_INDEX=0)
  fi
  env "${environment[@]}" "$@" "$built/bin/$program" --gtest_filter="$filter" >"$log" 2>&1 || code=$?

  local all=0 bad=0 left_out=0 passed=0 bad_names=()
  count() { sed -n "/<testsuites /s/.* $1=\"\([0-9]*\)\".*/\1/p" "$xml" | head -n 1; }
  if [[ -s $xml ]]; then
    all=$(count tests) bad=$(count failures)
    left_out=$(grep -c -E 'result="(skipped|suppressed)"|status="notrun"' "$xml" || true)
    passed=$((all - bad - left_out))
    mapfile -t bad_names < <(awk '
      function value(key) { match($0, " " key "=\"[^\"]*\""); return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4) }
      /<testcase / { now = value("classname") "." value("name") }
      /<failure/ && now != last { print last = now }' "$xml")
  fi
  local verdict=passed
  if ((code != 0 || bad > 0 || passed == 0)); then
    verdict=FAILED
    failures+=("$what")
    tail -n 40 "$log"
  fi
  printf '%-22s %s: %d passed, %d failed, %d skipped, %d s\n' "$what" "$verdict" "$passed" "$bad" "$left_out" $((SECONDS - started))
  local command="NOISETTE_REQUIRE_CUDA=1 NOISETTE_TEST_DEVICE=cuda ${*:+$* }$program --gtest_filter=$filter" tail=''
  [[ $verdict == passed ]] || tail=$(tail -n 40 "$log")
  tests_json+=("{\"name\": $(text "$what"), \"passed\": $passed, \"failed\": $bad, \"skipped\": $left_out, \"exit_code\": $code, \
\"seconds\": $((SECONDS - started)), \"failed_tests\": $(list "${bad_names[@]}"), \"output_end\": $(text "$tail"), \"command\": $(text "$command")}")
  tests_rows+=("| $what | $passed | $bad | $left_out | $verdict${bad_names[*]:+: ${bad_names[*]:0:5}} |")
}

filter='*Cuda*:*MatchesF64*'
[[ -z $quick ]] || programs=(test_core test_kernels test_ops)
step "Tests on $card"
for program in "${programs[@]}"; do run_test "${program#test_}" "$program" "$filter"; done

sanitizer_note='not asked for'
if [[ -n $sanitize ]]; then
  if [[ -n $simulated ]]; then
    sanitizer_note='left out: the software GPU has checks of its own'
  elif ! command -v compute-sanitizer >/dev/null; then
    sanitizer_note='FAILED: compute-sanitizer is not on the path; it comes with the CUDA toolkit'
    failures+=(compute-sanitizer)
  else
    sanitizer_note=$(compute-sanitizer --version 2>&1 | grep -i version | head -n 1 || true)
    step "Tests under compute-sanitizer (slow)"
    for program in "${programs[@]}"; do
      run_test "${program#test_}-memcheck" "$program" "$filter" compute-sanitizer --target-processes all --tool memcheck --error-exitcode 86
    done
    run_test kernels-racecheck test_kernels "$filter" compute-sanitizer --target-processes all --tool racecheck --error-exitcode 86
  fi
fi
echo "compute-sanitizer: $sanitizer_note"

# ---- Benchmarks.
figure() { sed -n "s/^  \"$1\": *\([0-9.eE+-]*\),\{0,1\}$/\1/p" "$2" | head -n 1; }
span() { # the least and the greatest of all_seconds
  awk '/"all_seconds"/ { on = 1; next } on && /\]/ { exit }
    on { v = $1 + 0; if (!n++ || v < low) low = v; if (v > high) high = v }
    END { if (n) printf "%.4g-%.4g", low, high }' "$1"
}
bench_json=() bench_rows=()
# bench WHAT CONFIG BATCH DTYPE GRAPH: BATCH 0 is the file's.
bench() {
  local what=$1 config=$2 batch=$3 dtype=$4 graph=$5 code=0
  local file=$scratch/bench.json log=$scratch/bench.log
  local options=(bench "$what" "$config" --device cuda --dtype "$dtype" "${bench_steps[$what]}" "${bench_count[$what]}")
  ((batch == 0)) || options+=(--batch "$batch")
  [[ -z $quick ]] || options+=(--warmup 1)
  [[ $graph == yes ]] || options+=(--set run.graph=false)
  options+=(--json)
  local shown="${options[*]//$scratch\//}" label
  label="$what $(basename "$config" .toml) $dtype, graph $graph"
  env LD_LIBRARY_PATH="$library_path" "$built/bin/noisette" "${options[@]}" >"$file" 2>"$log" || code=$?
  local seconds
  seconds=$(figure seconds_per_step "$file")
  if ((code != 0)) || [[ -z $seconds ]]; then
    failures+=("bench $label")
    echo "$label: FAILED"
    cat "$log"
    bench_json+=("{\"command\": $(text "noisette $shown"), \"exit_code\": $code, \"error\": $(text "$(tail -n 20 "$log")")}")
    bench_rows+=("| $what | $(basename "$config" .toml) | | $dtype | $graph | FAILED | | | |")
    return
  fi
  printf '%s: %.4g s a step\n' "$label" "$seconds"
  bench_json+=("{\"command\": $(text "noisette $shown"), \"config\": $(text "$(basename "$config")"), \"graph\": $([[ $graph == yes ]] && echo true || echo false), \"result\": $(cat "$file")}")
  bench_rows+=("$(printf '| %s | %s | %s | %s | %s | %.4g | %s | %.4g | %s |' "$what" "$(basename "$config" .toml)" "$(figure batch "$file")" \
    "$dtype" "$graph" "$seconds" "$(span "$file")" "$(figure images_per_second "$file")" \
    "$(awk -v b="$(figure peak_bytes "$file")" 'BEGIN { printf "%.0f", b / 1e6 }')")")
}

declare -A bench_steps=([train]=--steps [sample]=--sampling-steps) bench_count=([train]=30 [sample]=50)
configs=(configs/ddpm-cifar10.toml:128 configs/fashion-mnist.toml:0)
if [[ -n $quick ]]; then
  bench_count=([train]=1 [sample]=1)
  configs=("$scratch/tiny.toml:2")
  cat >"$scratch/tiny.toml" <<END
[model]
sample_size = 4
in_channels = 1
out_channels = 1
block_out_channels = [8]
attention_levels = [0]
layers_per_block = 1
norm_num_groups = 4
[data]
path = "none.h5"
END
fi
step "Benchmarks"
for entry in "${configs[@]}"; do
  for what in train sample; do
    for dtype in f32 bf16; do
      for graph in yes no; do bench "$what" "${entry%:*}" "${entry##*:}" "$dtype" "$graph"; done
    done
  done
done

# ---- Our kernels one by one, beside those of cuBLASLt and cuDNN where they are installed.
kernels_note='' kernels_json=null
kernels() { env LD_LIBRARY_PATH="$library_path" "$built/bin/noisette" bench kernels "$@" 2>>"$scratch/kernels.log"; }
if [[ -n $quick || -n $simulated ]]; then
  kernels_note='Left out: a quick or simulated check times nothing worth comparing.'
elif step "Kernels" && kernels -o "$scratch/kernels.json" >"$scratch/kernels.txt"; then
  cat "$scratch/kernels.txt"
  kernels_json=$(cat "$scratch/kernels.json")
  kernels_note=$(printf '```\n%s\n```' "$(cat "$scratch/kernels.txt")")
else
  failures+=("bench kernels")
  cat "$scratch/kernels.log"
  kernels_note='FAILED.'
fi

# ---- Beside PyTorch, on the same card, in turn.
python=${PYTHON:-python3}
peer_note='' peer_json=()
if [[ -n $quick || -n $simulated ]]; then
  peer_note='left out: a quick or simulated check times nothing worth comparing'
elif ! peer_note=$("$python" -c 'import torch, diffusers
assert torch.cuda.is_available(), "PyTorch sees no CUDA device"
print("PyTorch", torch.__version__, "with CUDA", torch.version.cuda)' 2>&1 | tail -n 1); then
  peer_note="left out: $peer_note"
else
  step "Beside $peer_note (minutes: torch.compile)"
  for what in train sample; do
    peer_options=(--device cuda --compile --what "$what" --noisette "${built#"$root"/}/bin/noisette" --out "$scratch/peer-$what"
      --case cifar10 configs/ddpm-cifar10.toml 128 --case gray28-small configs/fashion-mnist.toml 32
      --dtypes f32 tf32 bf16 --rounds 3 --steps 30 --threads "$(nproc)")
    if env LD_LIBRARY_PATH="$library_path" "$python" bench/peers/compare.py "${peer_options[@]}"; then
      peer_json+=("\"$what\": $(cat "$scratch/peer-$what.json")")
    else
      failures+=("compare.py --what $what")
    fi
  done
fi
echo "beside PyTorch: $peer_note"

# ---- The files.
join() { # SEPARATOR ITEM...
  local separator=$1 item first=1
  shift
  for item in "$@"; do
    [[ -n $first ]] || printf '%s' "$separator"
    printf '%s' "$item"
    first=
  done
}
if [[ -n $bundle ]]; then
  commit=$(sed -n 's/^commit: //p' BUNDLE.txt) toolkit=$(sed -n 's/^CUDA toolkit: //p' BUNDLE.txt)
else
  commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  toolkit=$("$nvcc" --version 2>/dev/null | sed -n 's/.*, V\([0-9.]*\)$/\1/p' || true)
fi
version=$(env LD_LIBRARY_PATH="$library_path" "$built/bin/noisette" --version)
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
verdict=passed
((${#failures[@]} == 0)) || verdict=failed

json=$(mktemp "$out/.$name.XXXXXX") markdown=$(mktemp "$out/.$name.XXXXXX")
cat >"$json" <<END
{
"card": $(text "$card"),
"simulated": $([[ -n $simulated ]] && echo true || echo false),
"quick": $([[ -n $quick ]] && echo true || echo false),
"verdict": "$verdict",
"failures": $(list "${failures[@]}"),
"driver": $(text "$driver"),
"driver_cuda": $(text "$driver_cuda"),
"cuda_toolkit": $(text "${toolkit:-unknown}"),
"compute_capability": $(text "$capability"),
"memory": $(text "$memory"),
"date": "$date",
"noisette": $(text "$version"),
"commit": $(text "${commit:-unknown}"),
"bundle": $([[ -n $bundle ]] && echo true || echo false),
"sanitizer": $(text "$sanitizer_note"),
"peers": $(text "$peer_note"),
"tests": [
$(join $',\n' "${tests_json[@]}")
],
"benchmarks": [
$(join $',\n' "${bench_json[@]}")
],
"kernels": $kernels_json,
"beside_pytorch": {
$(join $',\n' "${peer_json[@]}")
}
}
END
{
  echo "# $card"
  echo
  [[ -z $simulated ]] || printf 'Made on the software GPU: **no time here says anything about a card**.\n\n'
  echo "$verdict; driver $driver (CUDA ${driver_cuda:-unknown}), compute capability $capability, $memory; CUDA toolkit ${toolkit:-unknown};" \
    "$version at ${commit:-unknown}; ${date%T*}."
  ((${#failures[@]} == 0)) || printf '\nFailed: %s.\n' "$(join '; ' "${failures[@]}")"
  printf '\n## Tests\n| program | passed | failed | skipped | verdict |\n|---|---|---|---|---|\n'
  printf '%s\n' "${tests_rows[@]}"
  printf '\ncompute-sanitizer: %s.\n' "$sanitizer_note"
  [[ -n $quick ]] ||
    printf 'Two trainings of a small DDPM, and one in parts, end in the same bits where train_cuda has passed.\n'
  printf '\n## noisette alone\nSeconds of a step: median, least-greatest. A sampling step is one of DDIM, for the whole batch. '
  printf 'Memory is the peak of tensors on the card.\n'
  printf '| work | config | batch | dtype | graph | s/step | range | images/s | MB |\n|---|---|---|---|---|---|---|---|---|\n'
  printf '%s\n' "${bench_rows[@]}"
  printf '\n## Kernels\nMicroseconds of `noisette bench kernels`.\n%s\n' "$kernels_note"
  printf '\n## Beside PyTorch\n%s.\n' "$peer_note"
  for what in train sample; do
    [[ ! -e $scratch/peer-$what.md ]] || { echo; cat "$scratch/peer-$what.md"; }
  done
} >"$markdown"
chmod 644 "$json" "$markdown"
mv -- "$json" "$out/$name.json"
mv -- "$markdown" "$out/$name.md"

step "$verdict"
((${#failures[@]} == 0)) || printf 'failed: %s\n' "${failures[@]}"
echo "$out/$name.md"
echo "$out/$name.json"
[[ $verdict == passed ]]
