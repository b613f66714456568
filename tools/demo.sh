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
# Says the command as one would type it in examples/, then runs it there.
run() {
    printf '%s$ %s%s\n' "$faint" "$*" "$plain"
    "$@" || fail "that did not work; see above."
}

title "1. What building needs"
setup_all || exit 1
echo "All here: $(setup_compiler), cmake, flex, bison, zlib."

title "2. The compiler"
mkdir -p "$root/build/demo" || exit 1
[ -x "$root/build/driver/nnc" ] || echo "Building nnc; this takes a minute or two, once."
setup_build "$root" "$root/build/demo/build.log" nnc nnrt || fail "the build failed; all of its output is in build/demo/build.log."
"$root/build/driver/nnc" --version || fail "build/driver/nnc does not start."

# Short paths in what is shown: everything runs in examples/, because the paths in digits.nn begin there.
cd "$root/examples" || exit 1
demo=../build/demo
libraries=$(sed -n 's/^ZLIB_LIBRARY_RELEASE:[A-Z]*=\(..*\)$/-lz/p' "$root/build/CMakeCache.txt" | grep -v NOTFOUND | head -n 1)
openmp=
echo 'int main(void) { return 0; }' >"$root/build/demo/probe.c"
"$(setup_compiler)" -fopenmp "$root/build/demo/probe.c" -o "$root/build/demo/probe" 2>/dev/null && openmp=-fopenmp
rm -f "$root/build/demo/probe.c" "$root/build/demo/probe"

title "3. From the model to C, and from C to a program"
printf '%s' "$faint"
sed -n '/^model/,/^}/p' digits.nn
printf '%s' "$plain"
run ../build/driver/nnc digits.nn -o $demo/digits.c
# shellcheck disable=SC2086 # an empty option is no option
run "$(setup_compiler)" -O3 -march=native $openmp -I../runtime $demo/digits.c ../build/runtime/libnnrt.a $libraries -lm -o $demo/digits

title "4. Training: 7,200 digits to learn from, 800 to check on"
run $demo/digits fit --weights=$demo/digits.safetensors

title "5. Digits it has never seen: 2,000 others"
run $demo/digits evaluate --weights=$demo/digits.safetensors
run $demo/digits predict --show=4 --weights=$demo/digits.safetensors

title "Made, in build/demo/"
ls -l $demo/digits.c $demo/digits.h $demo/digits $demo/digits.safetensors |
    awk '{ n = $NF; sub(/.*\//, "", n); printf "  %-20s %7.0f KB", n, $5 / 1024
           print n == "digits.c" ? "  the network as C: forward, backward, Adam" :
                 n == "digits.h" ? "  its functions, for your own program" :
                 n == "digits" ? "  the trainer" : "  the trained weights (open them with any safetensors library)" }'

title "Next"
cat <<'END'
  less build/demo/digits.c                              read what your network is
  build/demo/digits --help                              all that the trainer can do
  build/driver/nnc run examples/digits-cnn.nn fit       a convolutional network, 98 %
  build/driver/nnc new mine                             a file to start your own from
  build/driver/nnc help Dense                           every layer, with its formula
  build/driver/nnc help                                 everything a .nn file can say
END
