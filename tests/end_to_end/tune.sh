#!/bin/sh
# `nnc tune`: what it measures is kept beside the program, read from there, changes tiles and no bit of the results; and
# what is said where the file is old, broken, or cannot be made.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1

cat >small.nn <<'END'
model small {
    Input(12)
    Dense(32, activation=relu)
    Dense(3, activation=softmax)
}
compile { loss = sparse_categorical_crossentropy
          optimizer = Adam(0.01) }
fit { batch_size = 16 }
END
"$NNC" --lib small.nn -o before.c

# ---- measuring
check "tune measures" ends 0 'Written to small.tune' "$NNC" tune small.nn
tells() { grep -q 'contraction, in' out.txt && grep -Eq '^Step: ' out.txt && grep -Eq '^all kernels +[0-9.]+ +[0-9.]+$' out.txt; }
check "it tells times of contractions, kernels and the step" tells
lines() { [ "$(sed -n 3p small.tune | cut -d' ' -f1,2)" = "nnc-tune 1" ] && [ "$(grep -c '^tile [^ ]* rows=[0-9]* vectors=[0-9]* default=' small.tune)" -ge 3 ]; }
check "a line for each contraction" lines
no_leftovers() { ! ls | grep -q '\.new-'; }
check "no temporary files" no_leftovers
silent() { "$@" >out.txt 2>&1 && cat out.txt && [ ! -s out.txt ]; }
check "the program compiles with the file, and every line of it fits" silent "$NNC" --lib small.nn -o after.c

# ---- the choices are followed, and change no bit: other tiles than the default by hand
sed 's/^\(tile [^ ]*\) rows=[0-9]* vectors=[0-9]*/\1 rows=3 vectors=1/' small.tune >other.tune
cp small.tune kept.tune
cp other.tune small.tune
other_tiles() { "$NNC" --lib small.nn -o other.c && ! cmp -s before.c other.c; }
check "another choice gives another program" other_tiles
check "--no-tune does without the file" "$NNC" --no-tune --lib small.nn -o without.c
same_kernels() { sed 's/without/before/g' without.c | cmp - before.c; }
check "which is the program without it" same_kernels
cat >bits.c <<'END'
#include HEADER
#include <stdio.h>
int main(void) {
    static small model;
    static float x[37][12];
    static int32_t y[37];
    small_metrics metrics;
    for (int i = 0; i < 37 * 12; i++)
        x[i / 12][i % 12] = (float)((i * 7919) % 1000) / 500 - 1;
    for (int i = 0; i < 37; i++)
        y[i] = i % 3;
    small_init(&model, 7);
    for (int step = 0; step < 20; step++)
        if (small_train_batch(&model, (const void *)x, (const void *)y, 37, &metrics))
            return 1;
    for (size_t i = 0; i < sizeof model.dense_kernel / 4; i++)
        printf("%a ", (double)((const float *)&model.dense_kernel)[i]);
    return printf("%a\n", (double)metrics.loss) < 0;
}
END
bits_of() { build "$1.c" "$1.run" -O1 -march=native -DHEADER="\"$1.h\"" -include bits.c && "./$1.run" >"$1.bits" && [ -s "$1.bits" ]; }
check "the program with the rules' tiles runs" bits_of before
check "the one with other tiles too" bits_of other
check "they compute the same bits" cmp before.bits other.bits

# ---- old and broken files
sed 's/z12:/z13:/' kept.tune >small.tune
check "a line for another contraction: a warning with its place" ends 0 'small.tune:[0-9]+:1: warning: no contraction of this program has the form' "$NNC" --lib small.nn -o x.c
echo "tile what" >>small.tune
check "a broken line is refused with its place" ends 1 "small.tune:[0-9]+:[0-9]+: error: expected rows=N" "$NNC" --lib small.nn -o x.c
echo "nonsense" >small.tune
check "a file of something else is refused" ends 1 "small.tune:1:1: error: expected .nnc-tune 1 ISA" "$NNC" --lib small.nn -o x.c
check "--no-tune helps" silent "$NNC" --no-tune --lib small.nn -o x.c
sed 's/^nnc-tune 1 .*/nnc-tune 1 other-cpu/' kept.tune >small.tune
check "another instruction set: a warning" ends 0 "warning: measured for other-cpu and not used for" "$NNC" --lib small.nn -o x.c
cp kept.tune small.tune

# ---- for a GPU the file is written by hand: explain names the forms
gpu() { "$NNC" --target=cuda --gpu=sm_90 small.nn "$@"; }
gpu --no-tune -o without.cu
form=$(gpu --no-tune --emit=explain | sed -n 's/.*; form \(a16B[^;]*\).*/\1/p' | head -n 1)
line() { printf 'nnc-tune 1 sm_90\n%s\n' "$*" >small.gpu.tune; }
line "tile $form rows=64 columns=32 parts=3"
follows() { [ -n "$form" ] && gpu --verify --emit=explain >out.txt && cat out.txt && grep -q "tiles of 64 x 32 .* of each of 3 parts; .*; form $form" out.txt && grep -q "(adds 3 parts)" out.txt && gpu -o with.cu && ! cmp -s with.cu without.cu; }
check "tiles and parts are those of the file" follows
one_line() { [ "$(grep -c "of each of 3 parts" out.txt)" -eq "$(grep -c "form $form" out.txt)" ]; }
check "of this form and no other" one_line
check "C has its own file" silent "$NNC" --lib small.nn -o x.c
line 'tile * rows=16 columns=128'
all_of_them() { gpu --emit=explain >out.txt && ! grep "; form" out.txt | grep -v "tiles of 16 x 128"; }
check "a line for all" all_of_them
line "tile $form rows=24 columns=32"
check "a tile that cannot be" ends 1 "small.gpu.tune:2:[0-9]+: error: expected rows=N with N of 16, 32, 64 or 128" gpu -o x.cu
line "tile $form rows=16 columns=16 parts=65"
check "too many parts" ends 1 "small.gpu.tune:2:[0-9]+: error: expected parts=N with N from 1 to 64" gpu -o x.cu
line "tile $form rows=16 vectors=1"
check "a line for a processor" ends 1 "expected columns=N" gpu -o x.cu
line "tile a1z1:a:z:1 rows=16 columns=16"
check "a form that there is not" ends 1 "small.gpu.tune:2:1: error: no contraction of this program has the form a1z1" gpu -o x.cu
check "what can be done" ends 1 "help: nnc small.nn --target=cuda --no-tune --emit=explain names the forms" gpu -o x.cu
check "another architecture" ends 0 "warning: measured for sm_90 and not used for sm_80" "$NNC" --target=cuda --gpu=sm_80 small.nn -o x.cu
check "--no-tune helps there, too" silent gpu --no-tune -o x.cu
check "the program without it" [ "$(sed 's/without/x/g' without.cu | cksum)" = "$(cksum <x.cu)" ]
rm small.gpu.tune

# ---- what goes wrong
check "no C compiler" ends 3 "cannot start the C compiler no-such-cc" env CC=no-such-cc "$NNC" tune small.nn
check "the file is as it was" cmp kept.tune small.tune
printf 'model flat { Input(4)\n Flatten()\n Activation(relu) }\n' >flat.nn
check "no contraction" ends 0 "nothing to tune" "$NNC" tune flat.nn
check "which makes no file" [ ! -e flat.tune ]
check "no file" ends 2 "tune needs a file" "$NNC" tune
check "a program from a pipe has no place for it" ends 2 "tune needs a file" "$NNC" tune -
check "programs for a GPU" ends 2 "tune times C programs, not those of --target=cuda" "$NNC" tune --target=cuda small.nn
check "which have a file that is written by hand" ends 2 "help: for a GPU small.gpu.tune is written by hand" "$NNC" tune --target=cuda small.nn
interrupted() {
    echo "# old" >>small.tune
    timeout -s INT 0.7 "$NNC" tune small.nn >out.txt 2>err.txt
    cat err.txt
    grep -q "interrupted; small.tune is as it was" err.txt && grep -q "# old" small.tune && no_leftovers
}
if command -v timeout >/dev/null; then check "an interrupted run leaves the old file" interrupted; else skip "interrupted: there is no timeout"; fi
mkdir -p locked && cp small.nn locked/ && chmod 555 locked
if [ "$(id -u)" -eq 0 ]; then
    skip "a folder that cannot be written: root may write everywhere"
else
    check "a folder that cannot be written" ends 3 "cannot write locked/small.tune" "$NNC" tune locked/small.nn
fi
chmod 755 locked
report
