#!/bin/sh
# 1, 2, 3 and 8 threads, numbers that change every few steps, and a program compiled without OpenMP, train the examples to the same bits.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples

train() { # train PROGRAM THREADS OUTPUT
    # shellcheck disable=SC2086 # an option, or nothing
    "$1" fit --epochs=1 --verbose=0 --threads="$2" --weights="$3" $little
}

same_bits() {
    little=$(little_data "$1")
    "$NNC" "$1.nn" -o "$work/$1.c" && build "$work/$1.c" "$work/$1" -O2 -march=native -fopenmp &&
        build "$work/$1.c" "$work/$1-serial" -O2 -march=native || return 1
    train "$work/$1-serial" 1 "$work/serial.safetensors" || return 1
    for threads in 1 2 3 8; do
        train "$work/$1" $threads "$work/threads-$threads.safetensors" || return 1
    done
    changing "$work/$1.c" "$work/$1-changing" && train "$work/$1-changing" 1 "$work/threads-x.safetensors" || return 1
    same "$work/serial.safetensors" "$work"/threads-?.safetensors
}

for name in $(examples); do
    check "$name has the same bits for any number of threads" same_bits "$name"
done
report
