#!/bin/sh
# The examples of docs/library.md compile as they stand, and do what the page says.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1

# part FILE: the code block after the line that begins with `FILE`.
part() {
    awk -v name="\`$1\`" '
        index($0, name) == 1 { found = 1; next }
        found && /^```/ { if (inside) exit; inside = 1; next }
        inside { print }' "$root/docs/library.md" >"$1"
    [ -s "$1" ]
}

# shellcheck disable=SC2086 # lists of words
with_library() {
    "$NNC" --lib sensor.nn -o sensor.c &&
        gcc -std=c11 -O2 -march=native -Wall -Wextra -Werror $NNC_CFLAGS -I"$root/runtime" sensor.c correct.c "$NNRT" $NNC_LIBRARIES -lm -o correct &&
        rm -f sensor.safetensors && ./correct
}
# shellcheck disable=SC2086
with_cpp() {
    gcc -O2 -march=native $NNC_CFLAGS -I"$root/runtime" -c sensor.c &&
        g++ -std=c++17 -O2 -Wall -Wextra -Werror $NNC_CFLAGS use.cpp sensor.o "$NNRT" $NNC_LIBRARIES -lm -o use && ./use
}
bundled() {
    "$NNC" --lib --bundle sensor.nn -o sensor.c &&
        gcc -std=c11 -O2 -march=native -Wall -Wextra -Werror sensor.c correct.c -lm -o correct &&
        rm -f sensor.safetensors && ./correct
}

for file in sensor.nn correct.c use.cpp; do check "the page has $file" part "$file"; done
check "the C example" with_library
if command -v g++ >/dev/null; then
    check "the C++ example" with_cpp
else
    skip "g++ is not installed"
fi
check "the C example without the runtime library" bundled
report
