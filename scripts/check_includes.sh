#!/usr/bin/env bash
# Holds every #include "..." to the direction kernels <- framework <- models <- train, finer by the DEPENDS of each
# noisette_library() in CMakeLists.txt. A .cu file includes nothing from framework/.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

find kernels framework models train \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) \
  -print 2>/dev/null | LC_ALL=C sort | awk '
function room_of(path,    dir) {  # the library of the nearest folder that belongs to one
  dir = path
  while (sub(/\/[^\/]*$/, "", dir)) if (dir in room) return room[dir]
  return ""
}
function allowed(from, to,    n, list, i) {  # is `to` the room itself or among what it depends on?
  if (from == to) return 1
  n = split(depends[from], list, " ")
  for (i = 1; i <= n; i++) if (allowed(list[i], to)) return 1
  return 0
}
function report(file, line, text) {
  printf "%s:%d: %s\n", file, line, text
  bad++
}
function read_libraries(    text, line, call, words, n, i, mode, name) {
  while ((getline line < "CMakeLists.txt") > 0) { sub(/#.*/, "", line); text = text " " line }
  while (match(text, /noisette_library\([^)]*\)/)) {
    call = substr(text, RSTART + 17, RLENGTH - 18)
    text = substr(text, RSTART + RLENGTH)
    n = split(call, words, " ")
    name = words[1]
    mode = "folder"
    rooms++
    for (i = 2; i <= n; i++) {
      if (words[i] ~ /^(DEPENDS|LINK|EXCLUDE)$/) mode = words[i]
      else if (mode == "folder") room[words[i]] = name
      else if (mode == "DEPENDS") depends[name] = depends[name] " " words[i]
    }
  }
}
function check(file,    line, n, path, from, to, probe) {
  from = room_of(file)
  if (from == "") report(file, 1, "this folder belongs to no noisette_library() of CMakeLists.txt")
  while ((getline line < file) > 0) {
    n++
    if (line !~ /^[ \t]*#[ \t]*include[ \t]*"/) continue
    path = line
    sub(/^[^"]*"/, "", path)
    sub(/".*/, "", path)
    includes++
    if (file ~ /\.cuh?$/ && path ~ /^framework\//)
      report(file, n, "a CUDA file must not include \"" path "\": nothing from framework/")
    if ((getline probe < path) < 0) {
      report(file, n, "\"" path "\" is not a file of this repository; write it from the root")
      continue
    }
    close(path)
    to = room_of(path)
    if (from != "" && !allowed(from, to))
      report(file, n, "room \"" from "\" must not include \"" path "\" of room \"" to "\"; it depends on:" depends[from])
  }
  close(file)
}
BEGIN { read_libraries() }
{ check($0); files++ }
END {
  if (!rooms || !files) { print "check_includes: found no library or no source file"; exit 1 }
  printf "check_includes: %d includes in %d files, %d wrong\n", includes, files, bad
  exit bad > 0
}'
