#!/bin/sh
# --blas=cublaslt: options, what is emitted, and that programs train as without it, on the emulation of CUDA with a stand-in
# for the library that is strict about what it is given. nvcc compiles and links them with the library itself, where it is.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1
ln -s "$root/examples/data" data
cp "$root/examples/diabetes.nn" "$root/examples/breast-cancer.nn" "$root/examples/shakespeare-gpt.nn" .
emulated_nvcc=$root/tests/end_to_end/emulated_cuda/nvcc
export NNC_CFLAGS

cuda() { "$NNC" --target=cuda --gpu=sm_80 "$@"; }
with_library() { cuda --blas=cublaslt "$@"; }

# ---- options, and which products are wide enough
cat >wide.nn <<'END'
model wide {
    Input(256)
    Dense(1024, activation=relu)
    Dense(1024, activation=tanh)
    Dense(10, activation=softmax)
}
compile {
    loss = sparse_categorical_crossentropy
    optimizer = Adam()
}
fit { batch_size = 2048 }
END
check "without the option" cuda --verify wide.nn -o plain.cu
check "nothing calls it" lacks -i cublas plain.cu
check "with it" with_library --verify wide.nn -o library.cu
check "the file says what to link" grep -q "library.cu -lnnrt -lz -lcublasLt -lm" library.cu
check "a header brings it" grep -q '^#include "nnrt_cublaslt.h"' library.cu
check "so does a library's" with_library --lib wide.nn -o lib.cu
check "which says it too" grep -q -- "Link what uses it with -lcublasLt -lm" lib.cu
fused() { tr -d '\n' <library.cu | tr -s ' ' | grep -q "dense_bias, true, CUBLAS_COMPUTE_32F,.*, NULL, false, CUBLAS_COMPUTE_32F,"; }
check "bias and relu are in the call, tanh is not" fused
rounded() { with_library --precision="$1" wide.nn -o rounded.cu && grep -q "$2" rounded.cu && lacks CUBLAS_COMPUTE_32F, rounded.cu; }
check "in tf32" rounded tf32 CUBLAS_COMPUTE_32F_FAST_TF32
check "in bfloat16" rounded mixed_bfloat16 CUBLAS_COMPUTE_32F_FAST_16BF
explains() {
    with_library wide.nn --emit=explain >explain.txt &&
        grep -q "mapped: 2048 x 1024, 256 terms in float32, by cuBLASLt: 512 tiles of 64 x 64 fill 108 multiprocessors and the time of .* launches is at least that of 4; form" explain.txt &&
        grep -q "not by cuBLASLt: .* tiles of 64 x 64 do not fill 108 multiprocessors" explain.txt
}
check "explain says which, and why" explains
check "small products stay" with_library diabetes.nn -o small.cu
check "and need no library" lacks -i cublas small.cu
check "another library" ends 2 "there are: none, openblas, cublaslt|did you mean" cuda --blas=mkl wide.nn
check "one of another target" ends 2 "not built for --target=cuda" cuda --blas=openblas wide.nn
check "and the other way round" ends 2 "help: there is --blas=openblas" "$NNC" --blas=cublaslt wide.nn
told() { printf 'nnc-tune 1 sm_80\ntile %s\n' "$*" >"$name.gpu.tune"; }
name=wide
form=$(sed -n 's/.*by cuBLASLt: .*; form \([^;]*\)$/\1/p' explain.txt | head -n 1)
told "$form rows=64 columns=64"
tiles_are_told() { [ -n "$form" ] && with_library wide.nn --emit=explain | grep "form $form; not by cuBLASLt: told otherwise"; }
check "tiles that are told stay tiles" tiles_are_told
rm wide.gpu.tune

# ---- training on the emulation: all products that can be are the library's
build_emulated() { # build_emulated PROGRAM SOURCE.cu...
    program=$1
    shift
    # shellcheck disable=SC2086 # lists of words
    "$emulated_nvcc" -I "$root/runtime" "$@" "$NNRT" $NNC_LIBRARIES -lcublasLt -lm -o "$program"
}
calls() { # calls NAME LEAST: so many products are calls
    count=$(grep -c nnrt_lt_multiply "$1-lt.cu")
    echo "$count calls"
    [ "$count" -ge "$2" ]
}
losses() { # losses PROGRAM NAME: of two epochs from the same weights, and predictions
    "./$1" fit --initial-weights=first.safetensors --weights="$1.safetensors" --seed=3 --epochs=2 --batch-size="$3" --verbose=0 &&
        "./$1" evaluate --weights="$1.safetensors" --verbose=0 >"$1.txt" &&
        "./$1" predict --weights="$1.safetensors" --input="data/$2-test.csv" >>"$1.txt"
}
trains() { # trains NAME BATCH: as without the library, and the same bits when it is run again
    "./$1-plain" init --seed=5 --weights=first.safetensors && losses "$1-plain" "$1" "$2" && losses "$1-lt" "$1" "$2" &&
        near "$1-plain.txt" "$1-lt.txt" 0.002 && cp "$1-lt.safetensors" once.safetensors && losses "$1-lt" "$1" "$2" &&
        cmp "$1-lt.safetensors" once.safetensors
}
for name in diabetes breast-cancer; do
    check "$name without it" cuda "$name.nn" -o "$name-plain.cu"
    check "which compiles" build_emulated "$name-plain" "$name-plain.cu"
    told '* library'
    check "$name with it" with_library --verify "$name.nn" -o "$name-lt.cu"
    check "products are calls" calls "$name" 2
    check "which compiles, too" build_emulated "$name-lt" "$name-lt.cu"
    check "$name trains as without it" trains "$name" 16
    check "with a batch of another size" trains "$name" 7
done
name=diabetes
rounded_training() { # rounded_training POLICY TOLERANCE: a little off
    with_library --precision="$1" diabetes.nn -o "diabetes-$1.cu" && build_emulated "diabetes-$1" "diabetes-$1.cu" && losses "diabetes-$1" diabetes 16 &&
        losses diabetes-plain diabetes 16 && near diabetes-plain.txt "diabetes-$1.txt" "$2" && ! cmp -s diabetes-plain.txt "diabetes-$1.txt"
}
check "first weights" ./diabetes-plain init --seed=5 --weights=first.safetensors
check "training in tf32" rounded_training tf32 0.005
check "training in bfloat16" rounded_training mixed_bfloat16 0.05
refuses() { # refuses WHAT WORDS
    EMULATED_CUBLASLT=$1 ends 1 "$2" ./diabetes-lt fit --weights=x.safetensors --verbose=0
}
check "no handle" refuses handle "CUDA: cuBLASLt: the library was not initialized"
check "no algorithm: which kernel" refuses product "CUDA: train_dense_forward[a-z_]*, by cuBLASLt: not supported"
run_cuda() { NVCC=$emulated_nvcc "$NNC" run --target=cuda --gpu=sm_80 --blas=cublaslt diabetes.nn "$@"; }
check "nnc run links it" run_cuda fit --epochs=1 --verbose=0 --weights=run.safetensors
check "nnc run --check compares it with the processor" run_cuda --check fit --steps=3
printf '#!/bin/sh\necho "fatal error: cublasLt.h: No such file or directory" >&2\nexit 1\n' >no-library
chmod +x no-library
check "without the library the message says so" ends 4 "finds no cuBLASLt, which --blas=cublaslt needs" env NVCC="$work/no-library" XDG_CACHE_HOME="$work/none" \
    "$NNC" run --target=cuda --gpu=sm_80 --blas=cublaslt diabetes.nn fit

# ---- on a caller's stream: the example of docs/library.md
check "the page has a model" part sensor.nn
check "and a program" part gpu.cu
on_stream() {
    name=sensor
    sed -i 's/epoch < 50/epoch < 5/' gpu.cu && cuda --lib sensor.nn -o sensor.cu && build_emulated without sensor.cu gpu.cu && ./without >without.txt &&
        told '* library' && with_library --lib sensor.nn -o sensor.cu && grep -q nnrt_lt_multiply sensor.cu && build_emulated with sensor.cu gpu.cu &&
        EMULATED_KEPT=1 ./with >with.txt && cat with.txt && near without.txt with.txt 0.001
}
check "a library on a caller's stream" on_stream
ends_with_handle() { ./with >/dev/null 2>left.txt || grep "0 descriptors and 1 handles are not destroyed" left.txt; }
check "the stand-in watches over handles" ends_with_handle

# ---- the library itself
printf '#include <cublasLt.h>\nint main() { return cublasLtGetVersion() == 0; }\n' >there.cu
if ! command -v nvcc >/dev/null || ! nvcc there.cu -lcublasLt -o there 2>/dev/null; then
    skip "there is no nvcc with cuBLASLt, programs that call it are not compiled and linked with it"
    report
fi
build_nvcc() { # build_nvcc NAME SOURCE...
    program=$1
    shift
    # shellcheck disable=SC2086 # lists of words
    nvcc -std=c++20 -O1 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 $turing -Werror all-warnings \
        -I"$root/runtime" "$@" "$NNRT" $NNC_LIBRARIES -lcublasLt -lm -o "$program"
}
runs_nvcc() { build_nvcc "$1-nvcc" "$1.cu" && "./$1-nvcc" summary; }
turing='-gencode arch=compute_75,code=sm_75'
check "nvcc compiles and links it for sm_75, sm_80 and sm_90" runs_nvcc library
check "a library on a caller's stream, too" build_nvcc stream-nvcc sensor.cu gpu.cu
turing=''
check "and in tf32" runs_nvcc diabetes-tf32
name=shakespeare-gpt
told '* library'
check "a GPT with all products that can be" with_library --precision=mixed_bfloat16 --verify shakespeare-gpt.nn -o gpt.cu
check "which nvcc compiles, too" runs_nvcc gpt
few() { with_library --emit=resources diabetes.nn >resources.txt && lacks _product resources.txt && grep -q train_ resources.txt; }
name=diabetes
check "registers are those of kernels" few
report
