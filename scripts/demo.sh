#!/usr/bin/env bash
# From nothing to pictures: installs packages, builds, imports Fashion-MNIST, trains, samples and writes a report.
# Run again, it re-uses what is there and goes on where it stopped. Options are passed on to `noisette train`.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "$root"
run=runs/fashion-mnist
started=$SECONDS

step() { printf '\n== %s\n' "$*"; }
noisette() { "$root/build/bin/noisette" "$@"; }

step "Packages"
scripts/setup.sh
step "Build"
scripts/build.sh --target noisette

step "Data"
if [[ -e data/fashion-mnist.h5 ]]; then
  echo "data/fashion-mnist.h5 is there"
else
  mkdir -p data
  noisette data fashion-mnist -o data/fashion-mnist.h5
fi

step "Training (Ctrl-C stops and saves; run the script again to go on)"
interrupted=
trap 'interrupted=1' INT TERM
noisette train configs/fashion-mnist.toml --resume auto "$@"
trap - INT TERM
if [[ -n $interrupted ]]; then
  echo "Stopped before the end; run scripts/demo.sh again to go on."
  exit 0
fi

step "Samples: one class a row"
noisette sample "$run" --class all --n 100 -o "$run/grid.png"
step "How good they are: 500 samples, judged by real images"
noisette sample "$run" --class all --n 500 -o "$run/samples.h5"
noisette eval "$run/samples.h5" --data data/fashion-mnist.h5 --metrics knn,variety
step "Report"
noisette report "$run" -o "$run/report.html"

cat <<END

Done in $(((SECONDS - started + 59) / 60)) min. Look at
  $root/$run/grid.png     what the model draws, one class a row
  $root/$run/report.html  curves, samples over time, configuration (open it in a browser)
END
