#!/bin/sh
# Runs ./bootstrap with tools that pretend: what it says, passes on, and ends
# with.
#
#   tests/bootstrap.sh BOOTSTRAP
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp "$1" "$work/bootstrap"
cd "$work"

# tool NAME makes a command out of the script on its standard input.
tool() {
  { echo '#!/bin/sh' && cat; } >"bin/$1"
  chmod +x "bin/$1"
}

# check STATUS ARGUMENT... runs it, and compares what stands in the file
# `expected`: first what it says, then what the script prints.
check() {
  wanted=$1
  shift
  status=0
  PATH="$work/bin:$PATH" ./bootstrap "$@" >printed 2>said || status=$?
  cat said printed | diff expected -
  [ "$status" -eq "$wanted" ] || {
    echo "exit status $status, expected $wanted"
    exit 1
  }
}

tool dpkg-query <<'END'
echo installed
END

# Builds 40 steps, then nothing, then one that fails.
tool cmake <<'END'
[ "$1" = --build ] || exit 0
mkdir -p build/release
if [ -e build/release/broken ]; then
  echo '[1/2] cc a.c'
  echo 'a.c:1:1: error: no'
  exit 1
elif [ -e build/release/build.ninja ]; then
  echo 'ninja: no work to do.'
else
  touch build/release/build.ninja
  echo '[0/1] cmake'
  for i in $(seq 40); do echo "[$i/40] cc $i.c"; done
  printf '#!/bin/sh\necho "$@"\nexit 7\n' >build/release/asyncrt
  chmod +x build/release/asyncrt
fi
END

cat >expected <<'END'
bootstrap: building build/release; the first time this takes a minute or two
bootstrap: building build/release: 4/40
bootstrap: building build/release: 8/40
bootstrap: building build/release: 12/40
bootstrap: building build/release: 16/40
bootstrap: building build/release: 20/40
bootstrap: building build/release: 24/40
bootstrap: building build/release: 28/40
bootstrap: building build/release: 32/40
bootstrap: building build/release: 36/40
bootstrap: building build/release: 40/40
a.lua b c
END
check 7 run a.lua b c

echo 'a.lua' >expected
check 7 run a.lua

echo 'bootstrap: built build/release/asyncrt' >expected
check 0 build

touch build/release/broken
cat >expected <<'END'
bootstrap: building build/release: 1/2
[1/2] cc a.c
a.c:1:1: error: no
bootstrap: the build has failed
END
check 1 run a.lua
