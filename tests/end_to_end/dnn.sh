#!/bin/sh
# --dnn=cudnn: options, what is emitted, and that programs train, evaluate and predict as in C, on an emulation of CUDA and of
# cuDNN's backend API, which is strict about both; and, where nvcc and cuDNN are installed, that they take what is written.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1
emulated_nvcc=$root/tests/end_to_end/emulated_cuda/nvcc
export NNC_CFLAGS

# Strides, both paddings, dilation; two layers share a function, one layer has no bias, what is behind the last one is a
# pooling.
cat >net.nn <<'END'
model net {
    Input((9, 7, 2))
    Conv2D(6, 3, padding=same, activation=relu)
    Conv2D(6, 3, padding=same, activation=relu)
    Conv2D(6, 3, padding=same, activation=relu)
    Conv2D(5, (2, 3), strides=2, padding=same, use_bias=false)
    Conv2D(4, 2, dilation_rate=2, activation=tanh)
    MaxPooling2D((2, 1))
    Flatten()
    Dense(4, activation=softmax)
}
data {
    train = npy("x.npy", "y.npy")
    test = npy("x.npy", "y.npy")
    scale(1/64)
}
compile {
    loss = sparse_categorical_crossentropy
    optimizer = Adam(0.001)
    metrics = [accuracy]
}
fit { batch_size = 4, epochs = 2 }
END
cat >line.nn <<'END'
model line {
    Input((18, 7))
    Conv1D(8, 3, padding=causal, activation=relu)
    Conv1D(8, 3, strides=2, activation=relu)
    GlobalAveragePooling1D()
    Dense(4, activation=softmax)
}
data {
    train = npy("line.npy", "y.npy")
    test = npy("line.npy", "y.npy")
    scale(1/64)
}
compile {
    loss = sparse_categorical_crossentropy
    optimizer = SGD(0.01)
}
fit { batch_size = 4, epochs = 2 }
END
numbers() { awk 'BEGIN { for (i = 0; i < 90 * 126; i++) printf "%c", 48 + (i * 7919 + int(i / 126) * 31) % 64 }'; }
{ header '|u1' '(90, 9, 7, 2)'; numbers; } >x.npy
{ header '|u1' '(90, 18, 7)'; numbers; } >line.npy
{
    header '|u1' '(90,)'
    awk 'BEGIN { for (i = 0; i < 90; i++) printf "\\%03o", i % 4 }' | { read -r classes; printf "$classes"; }
} >y.npy

count() { [ "$(grep -c -- "$1" "$2")" -eq "$3" ] || { grep -- "$1" "$2"; return 1; }; }

# ---- options, and what is written
check "CUDA without a library" "$NNC" net.nn --target=cuda -o plain.cu
check "the default calls none" lacks cudnn plain.cu
check "CUDA with cuDNN" "$NNC" net.nn --target=cuda --dnn=cudnn --verify -o net.cu
check "it says what to link" grep -q "net.cu -lnnrt -lz -lcudnn -lm" net.cu
# 5 layers forward; 5 gradients by weights, 4 by images. Those that are alike share a function.
calls() { sed -n '/^static void net_train_step(/,/^}/p' net.cu >step.txt && count 'nnrt_device_launched(device, "[a-z_0-9]*convolution' step.txt 14; }
check "a step leaves all convolutions to it" calls
prepared() { sed -n '/^static void net_train_step_prepare(/,/^}/p' net.cu >prepare.txt && count nnrt_convolution_prepare prepare.txt 14; }
check "whose plans are made before a step is recorded" prepared
explained() {
    "$NNC" net.nn --target=cuda --dnn=cudnn --emit=explain >explain.txt && grep -q "mapped: convolution forward, by cuDNN" explain.txt &&
        grep -q "_scratch .* 33554432 " explain.txt
}
check "explain tells calls and memory" explained
check "another library" ends 2 "there are: none, cudnn" "$NNC" --dnn=miopen --target=cuda net.nn
check "a processor" ends 2 "not built for --target=c" "$NNC" --dnn=cudnn net.nn

# ---- programs
build_emulated() { "$emulated_nvcc" -I "$root/runtime" "$1.cu" "$NNRT" $NNC_LIBRARIES -lcudnn -lm -o "$1-emulated"; }
train() { # train PROGRAM IMAGES WEIGHTS
    "./$1" fit --initial-weights="$3" --weights="$1.safetensors" --seed=3 --verbose=0 &&
        "./$1" evaluate --weights="$1.safetensors" --verbose=0 >"$1.evaluate" &&
        "./$1" predict --weights="$1.safetensors" --input="$2" >"$1.predict"
}
compare() { # compare PROGRAM IMAGES TOLERANCE
    "./$1-c" init --seed=5 --weights="first-$1.safetensors" && train "$1-c" "$2" "first-$1.safetensors" && train "$1-emulated" "$2" "first-$1.safetensors" &&
        near "$1-c.evaluate" "$1-emulated.evaluate" "$3" && near "$1-c.predict" "$1-emulated.predict" "$3"
}
again() {
    cp net-emulated.safetensors before.safetensors && train net-emulated x.npy first-net.safetensors && same before.safetensors net-emulated.safetensors
}
for name in net line; do
    check "nnc writes C for $name" "$NNC" --cpu=generic "$name.nn" -o "$name-c.c"
    check "the C of $name compiles" build "$name-c.c" "$name-c" -O1
    check "nnc writes CUDA for $name" "$NNC" "$name.nn" --target=cuda --dnn=cudnn --verify -o "$name.cu"
    check "it compiles for the emulation" build_emulated "$name"
done
check "it trains, evaluates and predicts as in C" compare net x.npy 0.002
check "so does one of lines" compare line line.npy 0.002
check "two runs, the same bits" again

# A library on the caller's stream and data, which begin anywhere: as without cuDNN.
cat >caller.cu <<'END'
#include <cstdio>
#include "net.h"
static net model;
static float x[90][9][7][2], output[90][4];
static int32_t y[90];
int main() {
    for (int i = 0; i < 90; i++)
        for (int k = 0; k < 126; k++)
            (&x[i][0][0][0])[k] = (float)((i * 126 + k) * 7919 % 64) / 64;
    for (int i = 0; i < 90; i++)
        y[i] = i % 4;
    cudaStream_t stream;
    net *trained;
    float *inputs, (*outputs)[4];
    int32_t *targets;
    if (net_init(&model, 3) || cudaStreamCreate(&stream) || cudaMalloc(&trained, sizeof model) ||
        cudaMalloc(&inputs, sizeof x + 8) || cudaMalloc(&targets, sizeof y) || cudaMalloc(&outputs, sizeof output))
        return 1;
    float (*images)[9][7][2] = (float (*)[9][7][2])(inputs + 1);
    cudaMemcpyAsync(trained, &model, sizeof model, cudaMemcpyHostToDevice, stream);
    cudaMemcpyAsync(images, x, sizeof x, cudaMemcpyHostToDevice, stream);
    cudaMemcpyAsync(targets, y, sizeof y, cudaMemcpyHostToDevice, stream);
    if (net_train_batch(trained, images, targets, 90, NULL, stream) || net_predict(trained, images + 3, 50, outputs, stream)) {
        std::fprintf(stderr, "%s\n", net_error());
        return 1;
    }
    cudaMemcpyAsync(output, outputs, sizeof output, cudaMemcpyDeviceToHost, stream);
    if (cudaStreamSynchronize(stream))
        return 1;
    for (int i = 0; i < 50; i++)
        std::printf("%.5f %.5f %.5f %.5f\n", output[i][0], output[i][1], output[i][2], output[i][3]);
    return 0;
}
END
# The first layer reads images where the caller has them: 4 bytes behind a multiple of 16.
library() {
    sed '/^data {/,/^}/d' net.nn >caller.nn
    for with in "" --dnn=cudnn; do
        "$NNC" caller.nn --lib --target=cuda $with -o net.cu && "$emulated_nvcc" -I "$root/runtime" net.cu caller.cu "$NNRT" $NNC_LIBRARIES -lcudnn -lm -o caller &&
            ./caller >"caller$with.txt" || return 1
    done
    grep -q "Link what uses it with -lcudnn" net.cu && mkdir -p library && cp net.cu net.h caller.cu library && near caller.txt caller--dnn=cudnn.txt 0.001
}
check "a library on a caller's stream and data" library
check "which says what is wrong" ends 1 "CUDA: [a-z_0-9]*_convolution[_0-9]*, by cuDNN .execution." env EMULATED_CUDNN=fails ./caller

# Operands in tf32: on tensor cores, a little off.
rounded() {
    "$NNC" net.nn --target=cuda --gpu=sm_80 --precision=tf32 --dnn=cudnn --verify -o net.cu && count "tensor_cores = 1" net.cu "$(grep -c "^static const nnrt_convolution" net.cu)" &&
        cp net-emulated.predict exact.predict && build_emulated net && compare net x.npy 0.01 && ! cmp -s exact.predict net-emulated.predict
}
check "tf32 takes tensor cores" rounded

# ---- errors
check "no engine fits: the message names the layer" ends 1 "CUDA: train_conv2d[a-z_0-9]*_convolution[_0-9]*, by cuDNN: it has no engine" \
    env EMULATED_CUDNN=none ./net-emulated fit --initial-weights=first-net.safetensors --weights=none.safetensors --verbose=0
check "a plan that fails: the message names the layer" ends 1 "CUDA: predict_conv2d_convolution, by cuDNN .execution.: CUDNN_STATUS_EXECUTION_FAILED" \
    env EMULATED_CUDNN=fails ./net-emulated predict --weights=first-net.safetensors --input=x.npy
cat >no-cudnn <<'END'
#!/bin/sh
echo "nnrt_cudnn.h:17:10: fatal error: cudnn_backend.h: No such file or directory" >&2
exit 1
END
chmod +x no-cudnn
check "without the library the message names packages" ends 4 "install cuDNN" \
    env NVCC="$work/no-cudnn" "$NNC" run --target=cuda --dnn=cudnn net.nn fit
check "nnc run compiles and links it" env NVCC="$emulated_nvcc" "$NNC" run --target=cuda --dnn=cudnn net.nn fit --epochs=1 --verbose=0 --weights=run.safetensors
check "--check compares it with the processor" env NVCC="$emulated_nvcc" "$NNC" run --target=cuda --dnn=cudnn --check net.nn fit --steps=3
# Beside cuBLASLt, which takes products.
both() {
    printf 'nnc-tune 1 sm_80\ntile * library\n' >net.gpu.tune && "$NNC" net.nn --target=cuda --gpu=sm_80 --dnn=cudnn --blas=cublaslt --verify -o both.cu &&
        rm net.gpu.tune && grep -q -- "-lcublasLt -lcudnn" both.cu && grep -q nnrt_lt_multiply both.cu && grep -q nnrt_convolve both.cu &&
        build_emulated both && ./both-emulated fit --initial-weights=first-net.safetensors --weights=both.safetensors --seed=3 --epochs=1 --verbose=0
}
check "both libraries in one program" both

# ---- the library itself
printf '#include <cudnn_backend.h>\nint main() { return cudnnGetVersion() == 0; }\n' >there.cu
if ! command -v nvcc >/dev/null || ! nvcc there.cu -lcudnn -o there 2>/dev/null; then
    skip "there is no nvcc with cuDNN, programs that call it are not compiled and linked with it"
    report
fi
build_nvcc() { # build_nvcc NAME
    nvcc -std=c++20 -O1 -gencode arch=compute_75,code=sm_75 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
        -Werror all-warnings -I"$root/runtime" "$1.cu" "$NNRT" $NNC_LIBRARIES -lcudnn -lm -o "$1-nvcc" && "./$1-nvcc" summary
}
check "nvcc compiles and links it for sm_75, sm_80 and sm_90" build_nvcc net
check "so it does one of lines" build_nvcc line
library_nvcc() { nvcc -std=c++20 -O1 -arch=sm_80 -Werror all-warnings -I"$root/runtime" library/net.cu library/caller.cu "$NNRT" $NNC_LIBRARIES -lcudnn -lm -o library-nvcc; }
check "and a library with its caller" library_nvcc
cnn() { "$NNC" "$root/examples/digits-cnn.nn" --target=cuda --dnn=cudnn --verify -o cnn.cu && build_nvcc cnn; }
check "and the convnet of the examples" cnn
resources() { "$NNC" net.nn --target=cuda --dnn=cudnn --emit=resources >resources.txt && ! grep -q _convolution resources.txt && grep -q _forward resources.txt; }
check "registers are those of kernels" resources

# Without a device cuDNN still says, for a description of one, which engines it has: one for each convolution.
cat >there.cu <<'END'
#include <cudnn_backend.h>
int main() { return CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP == 0; }
END
if ! nvcc there.cu -lcudnn -o there 2>/dev/null; then
    skip "this cuDNN makes no plans without a device"
    report
fi
plans() { # plans NAME SAMPLES..
    name=$1
    shift
    sed -n 's/^static const nnrt_convolution \([a-z_0-9]*\) .*/{"\1", \&\1},/p' "$name.cu" >shapes.inc && [ -s shapes.inc ] &&
        nvcc -std=c++20 -O1 -arch=sm_80 -DEMITTED="\"$work/$name.cu\"" -DSHAPES="\"$work/shapes.inc\"" -I"$root/runtime" \
            "$root/tests/end_to_end/cudnn/plans.cu" "$NNRT" $NNC_LIBRARIES -lcudnn -lm -o plans || return 1
    for device in t4 a100 h100; do
        ./plans "$root/tests/end_to_end/cudnn/$device.json" "$@" >"$device.txt" 2>&1
        code=$?
        cat "$device.txt"
        [ $code -ne 77 ] || { skip "cuDNN does not take the description of a $device"; continue; }
        [ $code -eq 0 ] && [ "$(grep -c samples: "$device.txt")" -eq $(($(wc -l <shapes.inc) * $#)) ] || return 1
    done
}
check "cuDNN has an engine for each convolution in tf32" plans net 4 2
check "for each one of lines" plans line 4 2
check "for those of the convnet" plans cnn 32 17
report
