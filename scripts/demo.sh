#!/usr/bin/env bash
# From nothing to pictures: installs packages, builds, imports Fashion-MNIST, trains, samples and writes a report.
# Run again, it re-uses what is there and goes on where it stopped. Options are passed on to `noisette train`,
# as in `scripts/demo.sh --set run.updates=3000`; the run stays runs/fashion-mnist.
set -euo pipefail

for option in "$@"; do
  case $option in
    -h | --help)
      sed -n '2,/^set /{s/^# //p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    run.name* | run.folder* | --set=run.name* | --set=run.folder*)
      echo "demo: the run is runs/fashion-mnist, which is sampled afterwards; got '$option';" \
        "for another place use \`noisette train\` and \`noisette sample\`" >&2
      exit 2
      ;;
  esac
done

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "$root"
run=runs/fashion-mnist
started=$SECONDS

step() { printf '\n== %s\n' "$*"; }
noisette() { "$root/build/bin/noisette" "$@"; }
# there FILE SOURCE...: says that FILE was made after all of its sources; else it is to be made.
there() {
  local file=$1 source
  for source in "${@:2}"; do
    [[ $file -nt $source ]] || return 1
  done
  echo "$file is there"
}

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

step "Samples: 500, of which the grid shows ten of each class"
newest=$(printf '%s\n' "$run"/checkpoints/update-*.h5 | tail -n 1)  # the names sort by update
{ there "$run/grid.png" "$newest" && there "$run/samples.h5" "$newest"; } ||
  noisette sample "$run" --class all --n 500 -o "$run/samples.h5" -o "$run/grid.png" --columns 10
step "How good they are, judged by real images"
there "$run/eval.json" "$run/samples.h5" ||
  noisette eval "$run/samples.h5" --data data/fashion-mnist.h5 --metrics knn,variety
step "Report"
there "$run/report.html" "$run/eval.json" "$run/grid.png" ||
  noisette report "$run" -o "$run/report.html"

cat <<END

Done in $(((SECONDS - started + 59) / 60)) min. Look at
  $root/$run/grid.png     what the model draws, one class a row
  $root/$run/report.html  curves, samples over time, configuration (open it in a browser)
END
