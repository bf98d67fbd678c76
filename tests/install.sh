#!/bin/bash
# Installs a build into an empty folder and builds examples/embed against it,
# through find_package and through pkg-config.
#
#   tests/install.sh BUILD COMPILER [FLAG...]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=$1
compiler=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The host prints what the script prints, and ends with its status.
check() {
  local status=0
  "$1" "$root/examples/embed/beats.lua" 7 >"$work/output" || status=$?
  printf 'beat\t1\nbeat\t2\n' | diff - "$work/output"
  [ "$status" -eq 7 ] || {
    echo "$1: exit status $status, expected 7"
    exit 1
  }
}

cmake --install "$build" --prefix "$work/prefix" >/dev/null
# Nothing may refer to where it was first installed.
mv "$work/prefix" "$work/moved"

"$work/moved/bin/asyncrt" -e 'print(require("asyncrt").now() >= 0)' |
  grep -qx true

# Every component of the build came along, and is found.
for component in "$build"/components/*.so; do
  [ -e "$component" ] || continue
  name=$(basename "$component" .so)
  "$work/moved/bin/asyncrt" -e "print(type(require('asyncrt.core.$name')))" |
    grep -qx table || {
    echo "$name: the installed command does not load it"
    exit 1
  }
done

cmake -S "$root/examples/embed" -B "$work/embed" \
  -D CMAKE_PREFIX_PATH="$work/moved" -D CMAKE_C_COMPILER="$compiler" \
  -D CMAKE_C_FLAGS="$*" >"$work/log" 2>&1 &&
  cmake --build "$work/embed" >>"$work/log" 2>&1 || {
  cat "$work/log"
  exit 1
}
check "$work/embed/embed"

pc=$(dirname "$(find "$work/moved" -name asyncrt.pc)")
flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs asyncrt)
# shellcheck disable=SC2086 # flags are words
"$compiler" "$@" "$root/examples/embed/main.c" -o "$work/by_pkg_config" $flags
check "$work/by_pkg_config"
