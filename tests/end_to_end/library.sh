#!/bin/sh
# The examples of docs/library.md compile as they stand, and do what the page says.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1

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

# On the emulation of CUDA; the weights fit the C++ program, and C finds the same without shuffling.
emulated_nvcc=$root/tests/end_to_end/emulated_cuda/nvcc
export NNC_CFLAGS
with_cuda() {
    "$NNC" --lib --target=cuda sensor.nn -o sensor.cu && grep -q 'cudaStream_t stream' sensor.h &&
        "$emulated_nvcc" -I "$root/runtime" sensor.cu gpu.cu "$NNRT" $NNC_LIBRARIES -lm -o gpu && rm -f sensor.safetensors && ./gpu >gpu.txt && ./use
}
# Few epochs: rounding grows with every step.
# shellcheck disable=SC2086
as_in_c() {
    "$NNC" --lib sensor.nn -o sensor.c && sed 's/50, order,/5, NULL,/; /order\[1000\]/d' correct.c >few.c && sed 's/epoch < 50/epoch < 5/' gpu.cu >few.cu &&
        gcc -std=c11 -O2 -march=native $NNC_CFLAGS -I"$root/runtime" sensor.c few.c "$NNRT" $NNC_LIBRARIES -lm -o few-c &&
        "$NNC" --lib --target=cuda sensor.nn -o sensor.cu && "$emulated_nvcc" -I "$root/runtime" sensor.cu few.cu "$NNRT" $NNC_LIBRARIES -lm -o few-cuda || return 1
    ./few-c >c.txt
    ./few-cuda >cuda.txt
    cat c.txt cuda.txt && paste -d ' ' c.txt cuda.txt | awk '{ d = $2 - $7; e = $3 - $8; exit !(d * d < 1e-5 && e * e < 1e-3 && NF == 10) }'
}
# shellcheck disable=SC2086
with_nvcc() {
    "$NNC" --lib --target=cuda sensor.nn -o sensor.cu &&
        nvcc -std=c++20 -O1 -arch=sm_75 -Werror all-warnings -I"$root/runtime" sensor.cu gpu.cu "$NNRT" $NNC_LIBRARIES -lm -o gpu-nvcc
}

for file in sensor.nn correct.c use.cpp gpu.cu; do check "the page has $file" part "$file"; done
check "the C example" with_library
if command -v g++ >/dev/null; then
    check "the C++ example" with_cpp
else
    skip "g++ is not installed"
fi
check "the CUDA example on the emulation" with_cuda
check "the CUDA example computes what C does" as_in_c
if command -v nvcc >/dev/null; then
    check "nvcc compiles and links the CUDA example" with_nvcc
else
    skip "there is no nvcc, the CUDA example is not compiled by it"
fi
check "the C example without the runtime library" bundled
report
