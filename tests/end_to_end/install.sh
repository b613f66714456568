#!/bin/sh
# nnc as it is installed, in the builds of other programs: pkg-config, CMake, a shared library, a static program, strict
# warnings; and, where there are compilers for them, other C libraries and other processors.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1
for file in sensor.nn correct.c CMakeLists.txt; do check "the page has $file" part "$file"; done

check "it is installed" cmake --install "$(dirname "$NNC")/.." --prefix "$work/installed"
PATH=$work/installed/bin:$PATH
PKG_CONFIG_PATH=$(dirname "$(find "$work/installed" -name nnrt.pc)")
export PATH PKG_CONFIG_PATH
strict="-std=c11 -O2 -Wall -Wextra -Wpedantic -Werror $NNC_CFLAGS"

correct() { rm -f sensor.safetensors && "$@"; }
# shellcheck disable=SC2046,SC2086 # lists of words
by_pkg_config() { # by_pkg_config [FLAG...]
    nnc --lib sensor.nn -o sensor.c &&
        gcc $strict -march=native "$@" sensor.c correct.c $(pkg-config --cflags --libs nnrt) -o correct && correct ./correct
}
shared() {
    gcc $strict -march=native -shared -fPIC sensor.c $(pkg-config --cflags --libs nnrt) -o libsensor.so &&
        gcc $strict correct.c -L. -lsensor -lm -o correct-shared && LD_LIBRARY_PATH=. correct ./correct-shared
}
by_cmake() { CFLAGS=$NNC_CFLAGS cmake -S . -B made >/dev/null && cmake --build made && correct made/correct; }
as_cpp() { ! g++ -x c++ -march=native -c sensor.c -o sensor-cpp.o 2>said.txt && grep -q "compile this file as C" said.txt && [ "$(grep -c 'error' said.txt)" -eq 2 ]; }
# elsewhere CPU COMPILER [WORD...]: one file for another machine; the words run its program.
elsewhere() {
    cpu=$1 compiler=$2
    shift 2
    # shellcheck disable=SC2086
    nnc --lib --bundle "--cpu=$cpu" sensor.nn -o other.c && mv other.h sensor.h && sed -i 's/"other.h"/"sensor.h"/' other.c &&
        $compiler $strict -static other.c correct.c -lm -o other && correct "$@" ./other
}

if command -v pkg-config >/dev/null; then
    check "with pkg-config" by_pkg_config
    if [ -z "$NNC_CFLAGS" ]; then check "a static program" by_pkg_config -static; else skip "a static program: this build has sanitizers"; fi
    check "a shared library" shared
    check "with CMake" by_cmake
else
    skip "pkg-config is not installed"
fi
command -v g++ >/dev/null && check "C++ gets one message" as_cpp
strict="-std=c11 -O2 -Wall -Wextra -Wpedantic -Werror" # no sanitizers there
if command -v musl-gcc >/dev/null; then check "musl" elsewhere generic musl-gcc; else skip "musl-gcc is not installed"; fi
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    check "aarch64" elsewhere neon aarch64-linux-gnu-gcc qemu-aarch64
    check "aarch64 without a word of it" elsewhere generic aarch64-linux-gnu-gcc qemu-aarch64
else
    skip "there is no compiler or no emulator for aarch64"
fi
report
