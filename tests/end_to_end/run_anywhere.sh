#!/bin/sh
# `nnc run` finds the data of a program from any folder: paths in a .nn file are relative to that file, those on the command
# line to the current folder. Weights go to the current folder.
. "$NNC_ROOT/tests/end_to_end/common.sh"

mkdir -p "$work/a program/data" "$work/elsewhere" && cd "$work/elsewhere" || exit 1
awk 'BEGIN { for (i = 0; i < 200; i++) { x = i / 100 - 1; print x "," x * x "," 2 * x + 1 } }' >"$work/a program/data/line.csv"
printf '0.5,0.25\n' >here.csv
cat >"$work/a program/line.nn" <<'END'
model line { Input(2), Dense(1) }
data { train = csv("data/line.csv"), test = csv("data/line.csv", first=100) }
compile { loss = mse, optimizer = Adam(0.05), metrics = [mae] }
fit { epochs = 60 }
END

near_two() {
    "$NNC" run "$work/a program/line.nn" predict --input=here.csv >prediction && value=$(cat prediction) && echo "$value" &&
        holds "$value > 1.9 && $value < 2.1"
}

check "fit from another folder" "$NNC" run "$work/a program/line.nn" fit
check "weights are in the current folder" [ -s line.safetensors ]
check "evaluate from another folder" "$NNC" run "$work/a program/line.nn" evaluate
check "predict reads a file of the current folder" near_two
cd "$work/a program" || exit 1
check "fit beside the program" "$NNC" run line.nn fit
check "both train to the same bits" same line.safetensors ../elsewhere/line.safetensors
cd / || exit 1
check "an example, by its whole path" "$NNC" run "$root/examples/diabetes.nn" fit --epochs=2 --weights="$work/diabetes.safetensors"
report
