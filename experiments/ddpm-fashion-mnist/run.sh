#!/usr/bin/env bash
# The whole experiment: trains with noisette and with diffusers on PyTorch, evaluates both with noisette, and writes
# results.json, table.md and the plots beside this script. What is done already is not done again.
#
#   NOISETTE=build/bin/noisette PYTHON=../peers/bin/python experiments/ddpm-fashion-mnist/run.sh
#
# Twenty-four models (three recipes, eight seeds) are made JOBS at a time with THREADS each.
# --smoke runs every step with 5 updates and few images, and writes to the runs' folder, to see that it works.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cd -- "$here/../.."
noisette=${NOISETTE:-build/bin/noisette}
python=${PYTHON:-../peers/bin/python}
data=${DATA:-data/fashion-mnist.h5}
jobs=${JOBS:-2} threads=${THREADS:-1}
seeds=(1 2 3 4 5 6 7 8)
runs=${RUNS:-runs/ddpm-fashion-mnist} results=$here
images=512 timesteps=20 samples=200
changes=(--set "data.path=$data")
if [[ ${1:-} == --smoke || -n ${SMOKE:-} ]]; then
  export SMOKE=1
  runs+=-smoke
  results=$runs/results
  images=16 timesteps=10 samples=40 seeds=(1 2)
  changes+=(--set run.updates=5 --set run.log_every=1)
fi
changes+=(--set "run.folder=$runs")
export OMP_NUM_THREADS=$threads

# make OUTPUT COMMAND..: the command's standard output becomes the file, unless the file is there.
make() {
  local output=$1
  shift
  [[ -e $output ]] && return
  "$@" >"$output.part"
  mv -- "$output.part" "$output"
}

train_noisette() {  # NAME SEED [--set ..]
  local name=$1 seed=$2
  shift 2
  [[ -e $runs/$name/summary.json ]] && return
  "$noisette" train "$here/recipe.toml" "${changes[@]}" --set "run.name=$name" --set "run.seed=$seed" "$@" \
    --threads "$threads" --resume auto
}

# The same instrument, the same held-out images, noise and timesteps for every model.
evaluate() {  # NAME MODEL
  local out=$runs/eval/$1 model=$2
  make "$out.json" "$noisette" eval "$model" --data "$data#test" --images "$images" --timesteps "$timesteps" \
    --seed 0 --dtype f32 --threads "$threads" --json
  for eta in 1 0; do
    local set=$out.eta$eta
    [[ -e $set.h5 ]] || "$noisette" sample "$model" -o "$set.h5" --n "$samples" --class all --guidance 2 \
      --sampler ddim --eta "$eta" --steps 50 --set sampler.use_clipped_model_output=false --seed 0 --batch 100 --dtype f32
    make "$set.json" "$noisette" eval "$set.h5" --data "$data#train" --reference 20000 --neighbours 5 \
      --threads "$threads" --json
  done
}

one() {  # RECIPE SEED
  local seed=$2 name=$1-$2
  case $1 in
    noisette) train_noisette "$name" "$seed" ;;
    # A recipe that differs on purpose: the comparison must see it.
    control) train_noisette "$name" "$seed" --set optimizer.learning_rate=1e-3 ;;
    torch)
      "$python" "$here/train_torch.py" "$runs/resolved.toml" --seed "$seed" --out "$runs/$name" --threads "$threads"
      evaluate "$name" "$runs/$name/model"
      return
      ;;
  esac
  evaluate "$name" "$runs/$name"
}

if [[ ${1:-} == --one ]]; then
  one "$2" "$3"
  exit
fi
mkdir -p "$runs/eval" "$results"
[[ -e $data ]] || "$noisette" data fashion-mnist -o "$data"
make "$runs/commit" git describe --always --dirty
make "$runs/resolved.toml" "$noisette" config "$here/recipe.toml" "${changes[@]}"
make "$runs/plan.json" "$noisette" plan "$runs/resolved.toml" --json --no-measure
for recipe in noisette torch control; do
  for seed in "${seeds[@]}"; do echo "$recipe $seed"; done
done | xargs -P "$jobs" -n 2 "$here/run.sh" --one
"$python" "$here/collect.py" "$runs" --noisette "$noisette" --out "$results"
