#!/bin/bash
# The rules of layering that neither compiler nor linker checks.
#
#   tests/layers.sh [ROOT]
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
shopt -s nullglob globstar lastpipe
failures=0

# report RULE prints the offending lines on its standard input, if any.
report() {
  local lines
  lines=$(cat)
  if [ -n "$lines" ]; then
    printf 'against the layering: %s\n%s\n' "$1" "$lines"
    failures=$((failures + 1))
  fi
}

scheduler=()
for file in runtime/**/*.[ch]; do
  [ "$file" = runtime/main.c ] || scheduler+=("$file")
done
bindings=(bindings/**/*.[ch])
scripts=(scripts/**/*.lua)

[ ${#scheduler[@]} -eq 0 ] ||
  grep -HnE '\buv_(tcp|udp|pipe|tty|stream|read|write|listen|accept|shutdown|fs|process|spawn|getaddrinfo|getnameinfo|signal|queue_work)(_|\b)' \
    "${scheduler[@]}" | report 'the runtime knows no capability'

for file in "${scheduler[@]}"; do
  for header in $(sed -nE 's/^ *# *include *"([^"]+)".*/\1/p' "$file"); do
    [ -e "runtime/$header" ] || [ -e "runtime/include/$header" ] ||
      echo "$file: $header"
  done
done | report 'the runtime includes its own headers only'

# A module is opened by art_open_x; a file that opens none is a part of those
# that include it. What stands in a folder belongs to the component of its name.
for file in "${bindings[@]}"; do
  name=$(basename "${file%.[ch]}")
  [[ $file == bindings/*/* ]] ||
    grep -qs '^int art_open_' "bindings/$name.c" || continue
  for header in $(sed -nE 's/^ *# *include *"([^"]+)\.h".*/\1/p' "$file"); do
    case $header in
      bindings | stream | "$name") ;;
      *)
        [ ! -e "bindings/$header.h" ] ||
          ! grep -qs '^int art_open_' "bindings/$header.c" ||
          echo "$file: $header.h"
        ;;
    esac
  done
done | report 'a binding includes no other capability'

if [ -e runtime/main.c ]; then
  sed -nE 's/^ *# *include *"([^"]+)".*/\1/p' runtime/main.c |
    grep -vxF 'asyncrt.h' |
    report 'main.c sees the public header alone'
fi

# A callback of libuv is a function on_x; it runs where a Lua error has no
# handler.
for file in "${scheduler[@]}" "${bindings[@]}" runtime/main.c; do
  [ -e "$file" ] || continue
  awk -v file="$file" '
    /^[a-z].*[ *]on_[a-z0-9_]+\(/ { inside = 1 }
    /^}/ || (/\);$/ && !body) { inside = 0 }
    { body = inside && (body || /{$/) }
    body && /(^|[^a-z_])luaL?_[a-z]+ *\(/ { print file ":" FNR ": " $0 }
  ' "$file"
done | report 'a callback of libuv calls no Lua'

for file in "${scripts[@]}"; do
  luac5.4 -l -p "$file" | grep -E 'SETTABUP.*_ENV' | sed "s|^|$file: |"
done | report 'a script assigns no global'

# `..` with a __concat metamethod is not safe in every Lua 5.4.
[ ${#scripts[@]} -eq 0 ] ||
  grep -Hn '__concat' "${scripts[@]}" "${bindings[@]}" |
  report 'the library has no __concat metamethod'

[ "$failures" -eq 0 ] && echo "the layers hold"
exit $((failures > 0))
