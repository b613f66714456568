#!/bin/sh
# A neural network from a text file to a trained program, in one command: installs what is missing (tools/setup.sh),
# builds nnc in build/, compiles examples/digits.nn to C and that to a program, trains it on real handwritten digits,
# measures it on digits that it has never seen, and draws a few of them. Everything it makes is in build/.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
. "$root/tools/setup.sh"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') faint=$(printf '\033[2m') plain=$(printf '\033[0m')
else
    bold='' faint='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}
# Says the command, then runs it.
run() {
    printf '%s$ %s%s\n' "$faint" "$*" "$plain"
    "$@" || fail "that did not work; see above."
}

title "1. What building needs"
setup_all || exit 1
compiler=$(setup_compiler)
echo "All here: $compiler, cmake, flex, bison, zlib."

title "2. The compiler"
mkdir -p "$root/build/demo" || exit 1
[ -x "$root/build/driver/nnc" ] || echo "Building nnc; this takes a minute or two, once."
setup_build "$root" "$root/build/demo/build.log" nnc nnrt || fail "the build failed; all of its output is in build/demo/build.log."
"$root/build/driver/nnc" --version || fail "build/driver/nnc does not start."

# Everything happens in build/demo, with the data beside it, so that commands are as short as one would type them.
cd "$root/build/demo" || exit 1
PATH=$root/build/driver:$PATH
rm -f data && ln -s ../../examples/data data || exit 1
libraries=$(sed -n 's/^ZLIB_LIBRARY_RELEASE:[A-Z]*=\(..*\)$/-lz/p' ../CMakeCache.txt | head -n 1)
openmp=
echo 'int main(void) { return 0; }' >probe.c
"$compiler" -fopenmp probe.c -o probe 2>/dev/null && openmp=-fopenmp
rm -f probe.c probe

title "3. From the model to C, and from C to a program"
printf '%s' "$faint"
sed -n '/^model/,/^}/p' ../../examples/digits.nn
printf '%s' "$plain"
run nnc ../../examples/digits.nn -o digits.c
# shellcheck disable=SC2086 # an empty option is no option
run "$compiler" -O3 -march=native $openmp -I../../runtime -L../runtime digits.c -lnnrt $libraries -lm -o digits

title "4. Training: 7,200 digits to learn from, 800 to check on"
run ./digits fit

title "5. Digits it has never seen: 2,000 others"
run ./digits evaluate
run ./digits predict --show=4

title "Made, in build/demo/"
made() { printf '  %-20s %5d KB  %s\n' "$1" $((($(wc -c <"$1") + 1023) / 1024)) "$2"; }
made digits.c "the network as C: forward, backward, optimizer"
made digits.h "its functions, for your own program"
made digits "the trainer"
made digits.safetensors "the trained weights; any safetensors library opens them"

title "Next"
cat <<'END'
  less build/demo/digits.c                            read what your network is
  cd build/demo && ./digits --help                    all that the trainer can do
  build/driver/nnc run examples/digits-cnn.nn fit     a convolutional network, 98 %
  build/driver/nnc new mine                           a file to start your own from
  build/driver/nnc help Dense                         any layer, with its formula
  build/driver/nnc help                               everything a .nn file can say
END
