#!/usr/bin/env bash
# Is every source file as clang-format 14 leaves it, with comments of at most 100 columns, and below 500 lines? Other
# versions of clang-format break lines elsewhere, so without version 14 that half is left out. `scripts/check_format.sh --fix` rewrites the files.
# A longer file says why in its first 20 lines, with the words "Long because".
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
pinned=14

mapfile -d '' -t files < <(find kernels framework models train simulator tests bench \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 2>/dev/null | LC_ALL=C sort -z)
((${#files[@]} > 0)) || { echo "check_format: found no source file"; exit 1; }

tool=
for name in clang-format-$pinned clang-format; do
  if command -v "$name" >/dev/null && "$name" --version | grep -q "version $pinned\."; then
    tool=$name
    break
  fi
done

status=0
if [[ -z $tool ]]; then
  echo "check_format: no clang-format $pinned here; format skipped"
elif [[ ${1:-} == --fix ]]; then
  "$tool" -i "${files[@]}"
else
  "$tool" --dry-run --Werror --ferror-limit=1 "${files[@]}" || status=1
fi

for file in "${files[@]}"; do
  lines=$(wc -l <"$file")
  if ((lines > 500)) && ! head -n 20 "$file" | grep -qi 'long because'; then
    echo "$file: $lines lines; split it, or say in the header comment \"Long because ...\""
    status=1
  fi
done
# clang-format leaves comments alone. Text inside R"(...)" and the style sheet may be longer.
awk 'length > 100 && /^ *\/\// {
  printf "%s:%d: %d columns; comments end at column 100\n", FILENAME, FNR, length
  bad = 1
}
END { exit bad }' "${files[@]}" || status=1
((status == 0)) && echo "check_format: ${#files[@]} files are fine"
exit $status
