#!/bin/sh
# The functions of an emitted library: the same bits as the trainer, any number of samples, several instances in several
# threads, errors, no allocation; and bundled libraries, two of them in one program.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1
cp "$root/tests/end_to_end/api/"* .

awk 'BEGIN {
    srand(3); print "a,b,c,d,class"
    for (i = 0; i < 203; i++) {
        k = int(3 * rand())
        for (j = 0; j < 4; j++) printf "%.4f,", 10 * j + (k == j % 3 ? 3 : 0) + rand() - rand()
        print k
    }
}' >train.csv

flags="-std=c11 -O2 -march=native -Wall -Wextra -Werror"
# shellcheck disable=SC2086 # lists of words
compile() { # compile COMPILER PROGRAM SOURCE...
    compiler=$1 program=$2
    shift 2
    "$compiler" $flags $NNC_CFLAGS -I"$root/runtime" "$@" "$NNRT" $NNC_LIBRARIES -lm -pthread -o "$program"
}
library() { "$NNC" --lib "$1.nn" -o "$1.c"; }
# The trainer and the library start from the same seed and take the samples in the same order.
like_the_trainer() {
    "$NNC" "$1.nn" -o "trainer_$1.c" && compile gcc "trainer_$1" "trainer_$1.c" &&
        "./trainer_$1" fit --train=train.csv --epochs=3 --seed=5 --verbose=0 --weights="trainer_$1.safetensors" &&
        ./use_"$1" fit train.csv "library_$1.safetensors" &&
        ./use_"$1" compare "trainer_$1.safetensors" "library_$1.safetensors"
}

for name in first second; do
    words="-DMODEL=$name -DHEADER=\"$name.h\"$([ $name = second ] && echo ' -DFITTED')"
    check "$name becomes a library" library $name
    check "no main() in $name" sh -c "! grep -q 'int main' $name.c"
    for compiler in clang gcc; do
        if command -v $compiler >/dev/null; then
            check "$compiler compiles $name" compile $compiler use_$name $words $name.c use.c
        else
            skip "$compiler is not installed"
        fi
    done
    check "$name trains as the trainer does" like_the_trainer $name
    check "$name: any number of samples" ./use_$name counts train.csv
    check "$name: several instances in several threads" ./use_$name threads train.csv
    check "$name: errors" ./use_$name errors train.csv
done
# Regions are counted where the compiler calls them.
in_one_region() {
    words="-DMODEL=$1 -DHEADER=\"$1.h\"$([ "$1" = second ] && echo ' -DFITTED')"
    # shellcheck disable=SC2086 # lists of words
    compile gcc regions_"$1" -fopenmp -Wl,--wrap=GOMP_parallel $words "$1.c" regions.c && ./regions_"$1"
}
for name in first second; do
    check "$name: one parallel region for all batches of a call, and for an epoch" in_one_region $name
done
# Prediction in pieces that fit in the cache.
in_pieces() {
    "$NNC" --lib --cpu=x86-64-v4 pieces.nn -o pieces.c && grep -q 'PIECE = 8' pieces.c &&
        library pieces && compile gcc pieces -fopenmp pieces.c -xc pieces_main -xnone && ./pieces
}
mv pieces.c pieces_main
check "many samples are predicted in pieces, to the same bits" in_pieces
no_allocation() {
    valgrind --error-exitcode=9 --leak-check=full ./plain_use steady train.csv 0 >few.txt 2>&1 || { cat few.txt; return 1; }
    valgrind --error-exitcode=9 --leak-check=full ./plain_use steady train.csv 20 >many.txt 2>&1 || { cat many.txt; return 1; }
    few=$(sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' few.txt)
    many=$(sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' many.txt)
    echo "allocations: $few and $many"
    [ -n "$few" ] && [ "$few" = "$many" ]
}
if [ -n "$NNC_CFLAGS" ]; then
    skip "valgrind: this build has sanitizers"
elif command -v valgrind >/dev/null; then
    for name in first second; do
        words="-DMODEL=$name -DHEADER=\"$name.h\"$([ $name = second ] && echo ' -DFITTED')"
        # valgrind does not know every instruction of this machine
        "$NNC" --lib --cpu=x86-64-v3 $name.nn -o plain_$name.c && cp plain_$name.h $name.h
        # shellcheck disable=SC2086 # lists of words
        check "$name for valgrind" gcc -std=c11 -O1 -g -march=x86-64-v3 -I"$root/runtime" $words plain_$name.c use.c "$NNRT" $NNC_LIBRARIES -lm -pthread -o plain_use
        check "$name allocates nothing while it works" no_allocation
    done
else
    skip "valgrind is not installed: no check that nothing is allocated"
fi

# ---- bundles
bundled_trainer() { # the same bits from one file
    mkdir -p alone && "$NNC" --bundle second.nn -o alone/second.c &&
        $1 $flags alone/second.c -lm -o alone/second &&
        ./alone/second fit --train=train.csv --epochs=3 --seed=5 --verbose=0 --weights=alone.safetensors &&
        same trainer_second.safetensors alone.safetensors
}
bundled_libraries() {
    for name in first second; do
        "$NNC" --lib --bundle $name.nn -o $name.c && $1 $flags -c $name.c -o $name.o || return 1
    done
    $1 $flags two.c first.o second.o -lm -o two && ./two
}
for compiler in gcc clang; do
    if command -v $compiler >/dev/null; then
        check "$compiler compiles a bundle alone" bundled_trainer $compiler
        check "$compiler: two bundled libraries in one program" bundled_libraries $compiler
    fi
done
only_the_interface() { ! nm -g --defined-only second.o | grep -v ' second_'; }
check "a bundled library shows only its own functions" only_the_interface
report
