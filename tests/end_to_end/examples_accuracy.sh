#!/bin/sh
# The two networks of the digits learn: trained as their files say on 8,000 images, the mean over three seeds of the
# accuracy on the 2,000 others is at least 95 % (dense) and 98 % (convolution). The tables reach what they should, too.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples

# measure NAME METRIC: trains with three seeds and leaves the mean of the test metric in $mean.
measure() {
    : >"$work/values"
    "$NNC" "$1.nn" -o "$work/$1.c" && build "$work/$1.c" "$work/$1" -O3 -march=native -fopenmp || return 1
    for seed in 1 2 3; do
        "$work/$1" fit --seed=$seed --verbose=0 --weights="$work/$1.safetensors" &&
            "$work/$1" evaluate --verbose=0 --weights="$work/$1.safetensors" >"$work/metrics" || return 1
        sed -n "s/^$2: //p" "$work/metrics" >>"$work/values"
    done
    mean=$(awk '{ sum += $1 } END { if (NR == 3) printf "%.4f", sum / 3 }' "$work/values")
    echo "$1: $2 $(tr '\n' ' ' <"$work/values")mean $mean" >>"$work/results"
    [ -n "$mean" ]
}

expect() { # expect NAME METRIC RELATION BOUND
    measure "$1" "$2" && holds "$mean $3 $4"
}

check "digits.nn" expect digits accuracy '>=' 0.95
check "digits-cnn.nn" expect digits-cnn accuracy '>=' 0.98
check "breast-cancer.nn" expect breast-cancer accuracy '>=' 0.94
check "diabetes.nn" expect diabetes root_mean_squared_error '<=' 58
check "autoencoder.nn" expect autoencoder mean_absolute_error '<=' 11
cat "$work/results"
report
