#!/bin/sh
# nvcc compiles what nnc writes: every example, with the runtime, for an old, a middle and a new architecture, all warnings
# errors. No GPU is needed. Skipped aloud without nvcc.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples
if ! command -v nvcc >/dev/null; then
    skip "there is no nvcc, the CUDA programs are not compiled by it"
    check "nnc writes CUDA" "$NNC" diabetes.nn --target=cuda -o "$work/diabetes.cu"
    report
fi

# nvcc has every architecture of --gpu, but for those that came after it.
known_architectures() {
    nvcc --list-gpu-code | grep -x sm_75 && "$NNC" diabetes.nn --target=cuda --gpu=x 2>&1 | sed -n 's/.*there are: native, //p' |
        tr -d ' ' | tr ',' '\n' >"$work/architectures" && [ "$(wc -l <"$work/architectures")" -gt 5 ] || return 1
    newest=$(nvcc --list-gpu-code | sed 's/sm_//' | sort -n | tail -n 1)
    while IFS=_ read -r sm number; do
        [ "$number" -gt "$newest" ] || nvcc --list-gpu-code | grep -qx "${sm}_$number" || return 1
    done <"$work/architectures"
}

# One compilation by nvcc for three architectures.
build_nvcc() { # build_nvcc NAME
    "$NNC" "$1.nn" --target=cuda -o "$work/$1.cu" &&
        nvcc -std=c++20 -O1 -gencode arch=compute_75,code=sm_75 -gencode arch=compute_80,code=sm_80 \
            -gencode arch=compute_90,code=sm_90 -Werror all-warnings -I"$root/runtime" "$work/$1.cu" "$NNRT" $NNC_LIBRARIES \
            -lm -o "$work/$1" && "$work/$1" summary
}

compile_rounded() { # compile_rounded NAME POLICY
    "$NNC" "$1.nn" --target=cuda --gpu=sm_80 --precision="$2" -o "$work/$1-$2.cu" &&
        nvcc -std=c++20 -O1 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -Werror all-warnings \
            -I"$root/runtime" -c "$work/$1-$2.cu" -o "$work/$1-$2.o"
}

# Registers and memory of each kernel: one line for each function of the file.
resources() {
    "$NNC" digits-cnn.nn --target=cuda --gpu=sm_80 -o "$work/resources.cu" && "$NNC" digits-cnn.nn --target=cuda --gpu=sm_80 --emit=resources >"$work/resources" &&
        grep -q "^digits_cnn for sm_80, Ampere (A100)" "$work/resources" && sed -n 's/^__global__ static void \([a-z_0-9]*\)(.*/\1/p' "$work/resources.cu" | sort >"$work/functions" &&
        sed -n '5,$s/^  \([a-z_0-9]*\) .*/\1/p' "$work/resources" | sort | cmp - "$work/functions" &&
        awk '/^  train_dense_forward / { ok = $2 > 8 && $2 < 256 && $3 == 0 && $5 > 0 && $6 > 31 && $7 > 0 && $8 <= 100 && $10 ~ "^dense" } END { exit !ok }' "$work/resources"
}
check "registers and memory of the kernels" resources
# What does not fit the registers is reported: with 24 of them some kernel spills.
spills() {
    printf '#!/bin/sh\nexec nvcc -maxrregcount=24 "$@"\n' >"$work/few" && chmod +x "$work/few" &&
        NVCC="$work/few" "$NNC" digits.nn --target=cuda --gpu=sm_80 --emit=resources >"$work/resources" &&
        awk '/^  [a-z]/ && $3 > 0 && $3 + 0 == $3 { spilling++ } / of them spill/ { said = $3 } END { exit !(spilling > 0 && said == spilling) }' "$work/resources"
}
check "registers that are spilled" spills
check "no place to write in" sh -c '! TMPDIR=/nowhere "$NNC" digits.nn --target=cuda --emit=resources'
check "nvcc knows the architectures of --gpu" known_architectures
# Two at a time.
build_half() { # build_half 0|1
    n=0
    for name in $(examples); do
        n=$((n + 1))
        [ $((n % 2)) -eq "$1" ] || continue
        build_nvcc "$name" >"$work/$name.log" 2>&1 && : >"$work/$name.built"
    done
}
built() { cat "$work/$1.log" && [ -e "$work/$1.built" ]; }
build_half 0 &
build_half 1
wait
for name in $(examples); do
    check "nvcc compiles and links $name for sm_75, sm_80 and sm_90" built "$name"
done
# On a machine without a driver the program says so.
if ! command -v nvidia-smi >/dev/null; then
    "$work/diabetes" init --weights="$work/few.safetensors" >/dev/null
    for verb in "fit --epochs=1" evaluate "predict --input=data/diabetes-test.csv"; do
        # shellcheck disable=SC2086 # words
        check "without a driver: $verb" ends 1 "CUDA: there is no (NVIDIA driver|device)" "$work/diabetes" $verb --weights="$work/few.safetensors"
    done
fi
check "nvcc compiles digits-cnn in tf32 for sm_80 and sm_90" compile_rounded digits-cnn tf32
check "nvcc compiles shakespeare-gpt in mixed_bfloat16 for sm_80 and sm_90" compile_rounded shakespeare-gpt mixed_bfloat16
report
