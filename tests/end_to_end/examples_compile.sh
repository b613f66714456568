#!/bin/sh
# Every example: nnc compiles it quickly, and the same each time; the C compiles without a warning under gcc and clang, its
# header also as C++; the program trains and evaluates. The seed network is short enough to be read.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples

now() { # milliseconds; where date has only seconds, those
    case $(date +%N) in
        *[!0-9]*) echo "$(date +%s)000" ;;
        *) date +%s%3N ;;
    esac
}

compile_quickly() { # the least of three runs in milliseconds is printed, and must stay below 500
    least=999999
    for _ in 1 2 3; do
        started=$(now)
        "$NNC" "$1.nn" -o "$work/$1.c" || return 1
        took=$(($(now) - started))
        [ $took -lt $least ] && least=$took
    done
    echo "nnc $1.nn: $least ms, $(wc -l <"$work/$1.c") lines of C" >>"$work/times"
    [ $least -lt 500 ]
}

same_again() {
    mkdir -p "$work/again" && "$NNC" "$1.nn" -o "$work/again/$1.c" && same "$work/$1.c" "$work/again/$1.c" &&
        same "$work/$1.h" "$work/again/$1.h"
}

header_alone() { # header_alone COMPILER LANGUAGE STANDARD NAME
    printf '#include "%s.h"\n' "$4" >"$work/header.txt"
    "$1" -x "$2" -std="$3" -Wall -Wextra -Werror -fsyntax-only -I"$work" "$work/header.txt"
}

trains() {
    # shellcheck disable=SC2046 # an option, or nothing
    "$work/$1" fit --epochs=1 --weights="$work/$1.safetensors" $(little_data "$1") && "$work/$1" summary &&
        if grep -q '^ *test *=' "$1.nn"; then "$work/$1" evaluate --weights="$work/$1.safetensors" --verbose=0; fi
}

for name in $(examples); do
    check "nnc compiles $name in less than 500 ms" compile_quickly "$name"
    check "the C of $name is the same each time" same_again "$name"
    for COMPILER in gcc clang; do
        if command -v $COMPILER >/dev/null; then
            check "$COMPILER compiles $name without a warning" build "$work/$name.c" "$work/$name" -O1 -march=native
            if echo | $COMPILER -x c++ -fsyntax-only - 2>/dev/null; then
                check "$COMPILER: the header of $name is C++ too" header_alone $COMPILER c++ c++11 "$name"
            else
                skip "$COMPILER has no C++"
            fi
        else
            skip "$COMPILER is not installed"
        fi
    done
    check "$name trains" trains "$name"
done
cat "$work/times"
check "the seed network is less than 1,500 lines of C" [ "$(wc -l <"$work/keras-intro.c")" -lt 1500 ]
report
