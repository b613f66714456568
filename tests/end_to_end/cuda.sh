#!/bin/sh
# --target=cuda: what nnc writes trains, evaluates and predicts like the C program, on an emulation of CUDA on the CPU (and on
# the GPU, where there is one), by itself and through nnc run. What nvcc says of it: nvcc.sh.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples

has_nvcc=$(command -v nvcc)
has_gpu=$(command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep GPU)

emulated_nvcc=$root/tests/end_to_end/emulated_cuda/nvcc
export NNC_CFLAGS
build_emulated() {
    "$emulated_nvcc" -I "$root/runtime" "$work/$1.cu" "$NNRT" $NNC_LIBRARIES -lm -o "$work/$1-emulated"
}

build_nvcc() {
    nvcc -std=c++20 -O1 -arch=native -Werror all-warnings -I"$root/runtime" "$work/$1.cu" "$NNRT" $NNC_LIBRARIES -lm -o "$work/$1-nvcc"
}

# run PROGRAM EPOCHS INPUTS: everything that a program does, from the same first weights.
run() {
    "$1" fit --initial-weights="$work/first.safetensors" --epochs="$2" --weights="$1.safetensors" --seed=3 --verbose=2 >"$1.fit" &&
        "$1" evaluate --weights="$1.safetensors" --verbose=0 >"$1.evaluate" &&
        "$1" predict --weights="$1.safetensors" --input="$3" >"$1.predict"
}

compare() { # compare NAME KIND EPOCHS INPUTS
    "$work/$1-c" init --seed=5 --weights="$work/first.safetensors" && run "$work/$1-c" "$3" "$4" && run "$work/$1-$2" "$3" "$4" &&
        near "$work/$1-c.evaluate" "$work/$1-$2.evaluate" && near "$work/$1-c.predict" "$work/$1-$2.predict"
}

fit_emulated() { # fit_emulated PROGRAM WEIGHTS [OPTION..]
    program=$1 weights=$2
    shift 2
    "$program" fit --initial-weights="$work/first.safetensors" --weights="$weights" --seed=3 --batch-size=4 --verbose=0 "$@"
}

# Samples that do not fit on the device are sent group by group. The least memory that is enough must give the same bits,
# and one step less says what is missing.
small_device() { # small_device NAME
    memory=16384
    while EMULATED_MEMORY=$memory && export EMULATED_MEMORY &&
        ! fit_emulated "$work/$1-emulated" "$work/small.safetensors" --epochs=1 2>"$work/small.err"; do
        grep -q "too little memory on the device: .* are needed for .* are free" "$work/small.err" || return 1
        cp "$work/small.err" "$work/refused.err"
        memory=$((memory + 4096))
        [ "$memory" -lt 1048576 ] || return 1
    done
    unset EMULATED_MEMORY
    test -s "$work/refused.err" && cmp "$work/small.safetensors" "$work/one.safetensors"
}

# Streams that work as late as they may, threads and blocks in another order, large and small devices: the same bits, and
# all is given back.
strict() { # strict SETTING..
    env EMULATED_LEFT=1 "$@" "$work/diabetes-emulated" fit --initial-weights="$work/first.safetensors" --weights="$work/strict.safetensors" \
        --seed=3 --batch-size=4 --verbose=0 --epochs=1 && cmp "$work/strict.safetensors" "$work/one.safetensors"
}
gives_back() { # gives_back VERB ARGUMENTS..
    env EMULATED_LEFT=1 EMULATED_ASYNC=1 "$work/diabetes-emulated" "$@" --weights="$work/large.safetensors" >"$work/strict.out" && test -s "$work/strict.out"
}
# Whichever call fails, alone or with all behind it: an error in words, no crash.
any_call_fails() { # any_call_fails STEP SETTING..
    step=$1 fail=1 done=0 told=0
    shift
    while [ $done -lt 3 ]; do
        env EMULATED_FAIL=$fail "$@" "$work/diabetes-emulated" fit --initial-weights="$work/first.safetensors" \
            --weights="$work/strict.safetensors" --batch-size=4 --verbose=0 --epochs=1 >"$work/fails.out" 2>&1
        case $? in
        0) done=$((done + 1)) ;;
        1) grep -q "CUDA: .*unspecified launch failure" "$work/fails.out" && told=$((told + 1)) || return 1 ;;
        *) echo "call $fail" && cat "$work/fails.out" && return 1 ;;
        esac
        fail=$((fail + step))
    done
    echo "$told calls"
    [ $told -gt 20 ]
}
# A kernel that breaks off is found out when somebody waits; launched one by one, it is named.
breaks() { # breaks WORDS SETTING..
    words=$1
    shift
    ends 1 "$words" env EMULATED_BREAK=40 "$@" "$work/diabetes-emulated" fit --weights="$work/strict.safetensors" --batch-size=4 --verbose=0 --epochs=1
}
# What the emulation must find: FILE is as it is but for the words that are put in the place of others.
seeded() { # seeded FILE WORDS OTHERS SETTING..
    file=$1 words=$2 others=$3
    shift 3
    rm -rf "$work/seeded" && mkdir "$work/seeded" && cp "$root"/runtime/*.h "$work/diabetes.h" "$work/seeded" && cp "$work/diabetes.cu" "$work/seeded/seeded.cu" &&
        sed "s/$words/$others/" "$work/seeded/$file" >"$work/seeded/changed" && ! cmp -s "$work/seeded/changed" "$work/seeded/$file" &&
        mv "$work/seeded/changed" "$work/seeded/$file" &&
        "$emulated_nvcc" -I "$work/seeded" "$work/seeded/seeded.cu" "$NNRT" $NNC_LIBRARIES -lm -o "$work/seeded/program" || return 1
    env "$@" "$work/seeded/program" fit --initial-weights="$work/first.safetensors" --weights="$work/seeded/w.safetensors" --seed=3 \
        --batch-size=4 --verbose=0 --epochs=1 || return 0
    ! cmp "$work/seeded/w.safetensors" "$work/one.safetensors"
}

# One epoch, then another, are the same as two.
resumed() {
    "$work/$1-emulated" init --seed=5 --weights="$work/first.safetensors" &&
        fit_emulated "$work/$1-emulated" "$work/large.safetensors" --epochs=2 &&
        fit_emulated "$work/$1-emulated" "$work/half.safetensors" --epochs=1 &&
        cp "$work/half.safetensors" "$work/one.safetensors" &&
        "$work/$1-emulated" fit --resume --weights="$work/half.safetensors" --epochs=2 --verbose=0 &&
        "$work/$1-emulated" predict --weights="$work/half.safetensors" --input="data/$1-test.csv" >"$work/half.csv" &&
        "$work/$1-emulated" predict --weights="$work/large.safetensors" --input="data/$1-test.csv" >"$work/large.csv" &&
        cmp "$work/half.csv" "$work/large.csv"
}

no_device() { # no_device COUNT MESSAGE
    EMULATED_DEVICES=$1 "$work/diabetes-emulated" evaluate --weights="$work/large.safetensors" 2>"$work/none.err" && return 1
    grep -q "$2" "$work/none.err"
}

for name in $(examples); do
    check "nnc writes CUDA for $name" "$NNC" "$name.nn" --target=cuda --verify -o "$work/$name.cu"
done
# A Dense network of n layers takes at most 3 n + 2 launches a training step, the optimizer's included.
few_launches() { # few_launches LAYERS UNITS BATCH
    hidden=$(seq 2 "$1" | sed "s/.*/Dense($2, activation=relu)/")
    printf 'model m {\nInput(100)\n%s\nDense(10, activation=softmax)\n}\ncompile { loss = sparse_categorical_crossentropy\noptimizer = Adam()\nmetrics = [accuracy] }\nfit { batch_size = %s }\n' "$hidden" "$3" >"$work/dense.nn"
    "$NNC" "$work/dense.nn" --target=cuda --gpu=sm_90 -o "$work/dense.cu" || return 1
    launches=$(sed -n '/^static void m_train_step/,/^}/p' "$work/dense.cu" | grep -c '<<<')
    echo "$1 layers, $launches launches"
    [ "$launches" -gt "$1" ] && [ "$launches" -le $((3 * $1 + 2)) ]
}
for layers in 1 2 3 6; do
    check "a Dense network of $layers layers needs few launches" few_launches "$layers" 61 32
    check "of $layers wide ones too" few_launches "$layers" 512 32
    check "with large batches too" few_launches "$layers" 512 4096
done
# More tiles of columns than a grid may have along y go along x.
wide_grid() {
    printf 'model m {\nInput(16)\nDense(9000000, activation=relu)\nDense(4)\n}\ncompile { loss = mean_squared_error\noptimizer = SGD(0.01) }\nfit { batch_size = 16 }\n' >"$work/columns.nn"
    "$NNC" "$work/columns.nn" --target=cuda --verify -o "$work/columns.cu" && grep -q 'dim3(70313, (batch + 15) / 16)' "$work/columns.cu" &&
        ! grep -Eq 'dim3\([^<]*, [0-9]{5,}\), dim3' "$work/columns.cu"
}
check "and with sums in parts" grep -q "(adds [0-9]* parts)" "$work/dense.cu"
check "very many columns" wide_grid
for name in diabetes breast-cancer; do
    check "nnc writes C for $name" "$NNC" --cpu=generic "$name.nn" -o "$work/$name-c.c"
    check "the C of $name compiles" build "$work/$name-c.c" "$work/$name-c" -O1
    check "the CUDA of $name compiles for the emulation" build_emulated "$name"
    check "$name trains on the emulation as in C" compare "$name" emulated 2 "data/$name-test.csv"
done
check "training on a device goes on where it stopped" resumed diabetes
check "a device that is too small for the samples gives the same bits" small_device diabetes
for setting in EMULATED_ASYNC=1 EMULATED_ORDER=1 EMULATED_ORDER=2 CUDA_LAUNCH_BLOCKING=1; do
    check "with $setting the same bits" strict $setting
    check "and on the small device" strict $setting EMULATED_MEMORY=$memory
done
# Preprocessing, training and prediction share the device, and so its one stream for steps and one for copies.
one_device() { # one_device STREAMS VERB ARGUMENTS..
    streams=$1
    shift
    EMULATED_TELL=1 "$work/diabetes-emulated" "$@" >"$work/strict.out" 2>"$work/strict.err" && grep -q "^emulated CUDA: $streams streams made" "$work/strict.err"
}
check "training opens one device" one_device 2 fit --weights="$work/strict.safetensors" --epochs=2 --verbose=0
check "so does evaluation" one_device 2 evaluate --weights="$work/large.safetensors"
check "so does prediction" one_device 1 predict --weights="$work/large.safetensors" --input=data/diabetes-test.csv
# Functions of --lib, called by a program on streams of its own.
calls_library() { # calls_library SETTING..
    env EMULATED_LEFT=1 "$@" "$work/library/caller"
}
library_compiles() {
    mkdir "$work/library" && "$NNC" diabetes.nn --lib --target=cuda -o "$work/library/diabetes.cu" && cp "$root/tests/end_to_end/cuda/caller.cu" "$work/library" &&
        "$emulated_nvcc" -I "$root/runtime" "$work/library/diabetes.cu" "$work/library/caller.cu" "$NNRT" $NNC_LIBRARIES -lm -o "$work/library/caller"
}
check "a program calls the functions of --lib" library_compiles
check "on the default stream, on two, in a graph: the same bits" calls_library A=
check "with streams that work late" calls_library EMULATED_ASYNC=1
check "in another order" calls_library EMULATED_ORDER=3
if [ -n "$has_nvcc" ]; then
    check "nvcc compiles the caller" nvcc -std=c++20 -arch=sm_75 -Werror all-warnings -I"$root/runtime" "$work/library/diabetes.cu" "$work/library/caller.cu" "$NNRT" $NNC_LIBRARIES -lm -o "$work/library/nvcc-caller"
fi
check "evaluation gives all memory back" gives_back evaluate
check "prediction too" gives_back predict --input=data/diabetes-test.csv
check "an error of any call is told" any_call_fails 5
check "on the small device too" any_call_fails 23 EMULATED_MEMORY=$memory EMULATED_ASYNC=1
check "also when no call works any more" any_call_fails 7 EMULATED_STICKY=1
check "a kernel that breaks off is found out" breaks "With CUDA_LAUNCH_BLOCKING=1 in the environment" A=
check "and named when it is asked for" breaks "kernel [a-z_0-9]*: unspecified launch failure" CUDA_LAUNCH_BLOCKING=1
check "a stream that does not wait for copies is found" seeded nnrt_cuda_steps.h 'cudaStreamWaitEvent(.*)' 'cudaSuccess)' EMULATED_ASYNC=1 EMULATED_MEMORY=$memory
check "results that are read too early are found" seeded nnrt_cuda_steps.h 'cudaEventSynchronize(.*)' 'cudaSuccess)' EMULATED_ASYNC=1 EMULATED_MEMORY=$memory
check "an address of the host in a launch is found" seeded seeded.cu 'group.rows + i' 'steps->rows + i'
check "the host in the memory of the device is found" seeded seeded.cu 'nnrt_group_end(&group)' 'nnrt_group_end(\&group), model->adam_iteration++'
check "memory that is taken while steps are recorded is found" seeded seeded.cu 'nnrt_group_end(&group)' 'nnrt_device_alloc(device, "late", 8), nnrt_group_end(\&group)'
# Operands of contractions on tensor cores: training goes as in C, a little off; float32 would be the same file.
rounded() { # rounded POLICY TOLERANCE
    "$NNC" diabetes.nn --target=cuda --gpu=sm_80 --precision="$1" --verify -o "$work/diabetes-$1.cu" &&
        head -n 12 "$work/diabetes-$1.cu" | grep -q "For sm_80, Ampere (A100); contractions in ${1#mixed_}, everything else in float32" &&
        grep -q nnrt_mma "$work/diabetes-$1.cu" && ! grep -q nnrt_mma "$work/diabetes.cu" && build_emulated "diabetes-$1" &&
        "$work/diabetes-c" init --seed=5 --weights="$work/first.safetensors" &&
        run "$work/diabetes-$1-emulated" 2 data/diabetes-test.csv &&
        near "$work/diabetes-c.predict" "$work/diabetes-$1-emulated.predict" "$2" &&
        ! cmp -s "$work/diabetes-c.predict" "$work/diabetes-$1-emulated.predict"
}
check "tf32 trains on the emulation nearly as C" rounded tf32 0.005
check "mixed_bfloat16 trains on the emulation nearly as C" rounded mixed_bfloat16 0.05
# nnc run with this compiler for nvcc; counts in compiled.txt how often it was asked.
printf '#!/bin/sh\necho "$@" >>"%s/compiled.txt"\nexec "%s" "$@"\n' "$work" "$emulated_nvcc" >"$work/nvcc"
chmod +x "$work/nvcc"
run_cuda() { NVCC="$work/nvcc" "$NNC" run "$@"; }
runs() {
    run_cuda diabetes.nn --target=cuda fit --initial-weights="$work/first.safetensors" --weights="$work/run.safetensors" --seed=3 \
        --epochs=2 --verbose=0 && run_cuda diabetes.nn --target=cuda evaluate --weights="$work/run.safetensors" --verbose=0 >"$work/run.evaluate" &&
        near "$work/diabetes-c.evaluate" "$work/run.evaluate" && grep -q -- "-O3 -std=c++20 -arch=native .*diabetes-.*\.cu" "$work/compiled.txt"
}
compiles_once() {
    before=$(wc -l <"$work/compiled.txt") && run_cuda --target=cuda --gpu=native diabetes.nn evaluate --weights="$work/run.safetensors" &&
        [ "$(wc -l <"$work/compiled.txt")" -eq "$before" ] && run_cuda --target=cuda diabetes.nn --gpu=sm_80 summary &&
        [ "$(wc -l <"$work/compiled.txt")" -eq $((before + 1)) ] && grep -q -- "-arch=sm_80" "$work/compiled.txt"
}
says() { # says STATUS WORDS COMMAND..: the command ends with this and says that
    wanted=$1 words=$2
    shift 2
    "$@" >"$work/says.out" 2>&1
    [ $? -eq "$wanted" ] && grep -Eq -- "$words" "$work/says.out" || { cat "$work/says.out"; return 1; }
}

check "nnc run makes a program of CUDA and runs it" runs
check "nnc run compiles CUDA once for each architecture" compiles_once
check "nnc run without nvcc says so" says 3 "cannot start nvcc" env NVCC=no-such-nvcc "$NNC" run diabetes.nn --target=cuda --gpu=sm_86 fit
check "nnc run without a device says so" says 1 "there is no device" env EMULATED_DEVICES=0 NVCC="$work/nvcc" "$NNC" run diabetes.nn --target=cuda fit
# --check: agreement; the largest difference of a wrong program is beyond what rounding explains.
agrees() {
    run_cuda diabetes.nn --target=cuda --check >"$work/check.txt" && grep -q "^dense/kernel .*e-" "$work/check.txt" && grep -q "GPU agree" "$work/check.txt" &&
        ! grep -q beyond "$work/check.txt" && run_cuda breast-cancer.nn --target=cuda --check fit --steps=3 --batch-size=8 >"$work/check.txt" &&
        awk '/^adam_w\/iteration/ { ok = $2 == 0 && $3 == 0 } END { exit !ok }' "$work/check.txt"
}
cat >"$work/wrong-nvcc" <<END
#!/bin/sh
for word; do
    shift
    case \$word in *.cu) sed 's/0\.001f/0.01f/' "\$word" >"$work/wrong.cu" && word=$work/wrong.cu ;; esac
    set -- "\$@" "\$word"
done
exec "$emulated_nvcc" "\$@"
END
chmod +x "$work/wrong-nvcc"
check "the processor and the GPU agree" agrees
check "a GPU program that computes another thing is found out" says 1 "differ on the GPU by more than rounding explains" env NVCC="$work/wrong-nvcc" "$NNC" run diabetes.nn --target=cuda --check
check "--check without a device" says 1 "training on the GPU failed" env EMULATED_DEVICES=0 NVCC="$work/nvcc" "$NNC" run diabetes.nn --target=cuda --check
check "--check of a C program" says 2 "compares a GPU with the processor" "$NNC" run diabetes.nn --check
check "--check with another verb" says 2 "fit is its only verb, not predict" "$NNC" run diabetes.nn --target=cuda --check predict
check "an option of the program before its verb" says 2 "stand behind its verb: nnc run diabetes.nn fit --epochs=3" "$NNC" run diabetes.nn --epochs=3 fit
check "nnc run FILE --help asks the program" says 0 "usage: nnc run diabetes.nn COMMAND" run_cuda diabetes.nn --target=cuda --help
check "a machine without a device says so" no_device 0 "there is no device"
check "a driver that is too old says so" no_device -1 "driver is too old: it knows CUDA 12.0, this program needs 13.0"
if [ -n "$has_nvcc" ] && [ -n "$has_gpu" ]; then
    check "nvcc compiles diabetes for the GPU" build_nvcc diabetes
    check "diabetes trains on the GPU as in C" compare diabetes nvcc 2 data/diabetes-test.csv
else
    skip "there is no GPU, the CUDA programs do not run on one"
fi
report
