#!/bin/sh
# --blas=openblas: options, what is emitted, and, where OpenBLAS is installed, that programs train as without it and to the
# same bits with any number of threads.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1

cat >wide.nn <<'END'
model wide {
    Input(64)
    Dense(200, activation=relu)
    Dense(96, activation=tanh)
    Dense(10, activation=softmax)
}
data { train = npy("x.npy", "y.npy") }
compile {
    loss = sparse_categorical_crossentropy
    optimizer = Adam(0.0001)
    metrics = [accuracy]
}
fit { batch_size = 48, epochs = 3 }
END
# 500 rows of 64 numbers, and classes that follow from them.
{
    header '|u1' '(500, 64)'
    awk 'BEGIN { for (i = 0; i < 32000; i++) printf "%c", 48 + (i * 7919 + int(i / 64) * 31) % 64 }'
} >x.npy
{
    header '|u1' '(500,)'
    awk 'BEGIN { for (i = 0; i < 500; i++) printf "\\%03o", i % 10 }' | { read -r classes; printf "$classes"; }
} >y.npy


check "there is a default without a library" "$NNC" wide.nn -o plain.c
check "the default calls none" lacks cblas plain.c
check "programs with OpenBLAS" "$NNC" --blas=openblas --verify wide.nn -o blas.c
check "they call it" grep -q "cblas_sgemm(Cblas" blas.c
check "they say what to link" grep -q "blas.c -lnnrt -lz -lopenblas -lm" blas.c
check "so do libraries" "$NNC" --blas=openblas --lib wide.nn -o library.c
check "they say it too" grep -q -- "Link what uses it with -lopenblas" library.c
check "another library" ends 2 "there are: none, openblas|did you mean" "$NNC" --blas=mkl wide.nn
check "a GPU" ends 2 "not built for --target=cuda" "$NNC" --blas=openblas --target=cuda wide.nn
cat >no-openblas <<'END'
#!/bin/sh
case " $* " in *" -lopenblas "*) echo "ld: cannot find -lopenblas" >&2; exit 1 ;; esac
exec cc "$@"
END
chmod +x no-openblas
check "without the library the message names packages" ends 4 "install libopenblas-dev" \
    env CC="$work/no-openblas" "$NNC" run --blas=openblas wide.nn fit

# ---- with OpenBLAS
echo 'void openblas_set_num_threads(int); int main(void) { openblas_set_num_threads(1); return 0; }' >there.c
if ! ${CC:-cc} there.c -lopenblas -o there 2>/dev/null; then
    skip "there is no OpenBLAS here (libopenblas-dev on Debian and Ubuntu)"
    report
fi
NNC_LIBRARIES="$NNC_LIBRARIES -lopenblas"
check "gcc's or clang's warnings are errors" build blas.c blas -O3 -march=native -fopenmp
check "and without" build plain.c plain -O3 -march=native -fopenmp

# The losses of the epochs.
losses() { "$@" 2>&1 | sed -n 's/.*loss: \([0-9.]*\).*/\1/p'; }
alike() {
    losses ./plain fit --weights=plain.safetensors --verbose=2 >plain.txt
    losses ./blas fit --weights=blas.safetensors --verbose=2 >blas.txt
    paste plain.txt blas.txt
    [ "$(wc -l <plain.txt)" -ge 3 ] && [ "$(wc -l <plain.txt)" -eq "$(wc -l <blas.txt)" ] &&
        paste plain.txt blas.txt | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 0.001 * $1 + 1e-4) bad = 1 } END { exit bad }'
}
same_bits() {
    for threads in 1 2 3; do
        ./blas fit --threads=$threads --verbose=0 --weights=weights-$threads.safetensors || return 1
    done
    same weights-1.safetensors weights-2.safetensors weights-3.safetensors
}
check "training as without it" alike
check "the same bits for any number of threads" same_bits
check "nnc run links it" "$NNC" run --blas=openblas wide.nn fit --verbose=0 --weights=run.safetensors
report
