#!/bin/sh
# The command line of nnc: exit codes, messages, what is written where, and what is left alone.
. "$NNC_ROOT/tests/end_to_end/common.sh"
cd "$work" || exit 1

narrow() { "$@" | awk 'length($0) > 80 { print "too wide: " $0; bad = 1 } END { exit bad }'; }
# shellcheck disable=SC2046 # a list of words
each_help() { "$NNC" help $("$NNC" help | awk '/^  [A-Za-z]/ { print $1 }' | sort -u); }
has() { file=$1; shift; for words in "$@"; do grep -q -- "$words" "$file" || { echo "no $words in $file"; return 1; }; done; }

cat >small.nn <<'END'
let width = 6
model small {
    Input(3)
    Dense(width, activation=relu)
    Dense(2, activation=softmax)
}
compile {
    loss = sparse_categorical_crossentropy
    optimizer = SGD(0.1)
    metrics = [accuracy]
}
fit { batch_size = 8 }
END
sed 's/relu/rleu/; s/SGD/SDG/' small.nn >wrong.nn

# ---- usage
check "no file" ends 2 "no input file" "$NNC"
check "unknown option" ends 2 "did you mean --lib" "$NNC" --lbi small.nn
check "unknown letter" ends 2 "no option -x" "$NNC" -x small.nn
check "a value is missing" ends 2 "needs a value" "$NNC" small.nn -o
check "a flag takes no value" ends 2 "takes no value" "$NNC" --lib=yes small.nn
check "an option twice" ends 2 "given twice" "$NNC" --cpu=generic --cpu=native small.nn
check "unknown target" ends 2 "--target has no choice" "$NNC" --target=wasm small.nn
check "unknown GPU" ends 2 "did you mean sm_8" "$NNC" --target=cuda --gpu=sm_88 small.nn
check "unknown precision" ends 2 "did you mean mixed_bfloat16" "$NNC" --target=cuda --precision=mixed_bfloat small.nn
check "a precision for a C program" ends 2 "--precision=tf32 is for --target=cuda" "$NNC" --precision=tf32 small.nn
check "float32 is everywhere" ends 0 "" "$NNC" --precision=float32 small.nn -o -
check "a precision that the GPU has not" ends 2 "--precision=tf32 needs tensor cores that --gpu=sm_75 does not promise" "$NNC" --target=cuda --gpu=sm_75 --precision=tf32 small.nn
check "a precision without a GPU" ends 2 "GPUs from sm_80 on have them" "$NNC" --target=cuda --precision=mixed_bfloat16 small.nn
check "a GPU for a C program" ends 2 "--gpu=sm_80 is for --target=cuda" "$NNC" --gpu=sm_80 small.nn
check "registers of a C program" ends 2 "--emit=resources is for --target=cuda" "$NNC" --emit=resources small.nn
check "registers without nvcc" ends 3 "cannot start nvcc" env NVCC=no-such-nvcc "$NNC" --target=cuda --emit=resources small.nn
check "the compile line names the GPU" ends 0 "nvcc .* -arch=sm_90 " "$NNC" --target=cuda --gpu=sm_90 small.nn -o -
check "the GPU of this machine" ends 0 "nvcc .* -arch=native " "$NNC" --target=cuda small.nn -o -
check "unknown cpu" ends 2 "--cpu has no choice" "$NNC" --cpu=z80 small.nn
check "unknown --emit" ends 2 "did you mean summary" "$NNC" --emit=sumary small.nn
check "unknown pass" ends 2 "there is no pass" "$NNC" --skip=nothing small.nn
check "batch size is no number" ends 2 "whole number" "$NNC" --batch-size=many small.nn
check "two files" ends 2 "one file at a time" "$NNC" small.nn wrong.nn
check "run without a file" ends 2 "needs a file" "$NNC" run
check "run without a verb" ends 2 "what shall be run" "$NNC" run small.nn
check "run with a wrong verb" ends 2 "did you mean fit" "$NNC" run small.nn fot
check "run is no way to a library" ends 2 "run takes no --lib" "$NNC" run small.nn --lib fit
check "nor to a file" ends 2 "run takes no -o" "$NNC" run small.nn -o small.c fit
check "run prints nothing" ends 2 "run takes no --emit" "$NNC" run small.nn --emit=ir fit
check "nor does tune" ends 2 "tune takes no --emit" "$NNC" tune --emit=ir small.nn
check "new without a name" ends 2 "needs a name" "$NNC" new
check "new with a bad name" ends 2 "cannot be the name" "$NNC" new 2fast
check "help on nothing known" ends 2 "did you mean" "$NNC" help Dence
check "-o names the header" ends 2 "overwritten" "$NNC" small.nn -o small.h
check "-o names the source" ends 2 "overwrite its own source" "$NNC" small.nn -o small.nn

# ---- what is said when all is well
check "--version" ends 0 "^nnc [0-9]+\.[0-9]+\.[0-9]+$" "$NNC" --version
check "--help" ends 0 "Usage:" "$NNC" --help
check "--help has 80 columns" narrow "$NNC" --help
check "help lists" ends 0 "Dense" "$NNC" help
check "help has 80 columns" narrow "$NNC" help
check "help on each has 80 columns" narrow each_help
check "help Dense" ends 0 "units" "$NNC" help Dense
version() { printf 'nnc %s\n' "$(sed -n 's/^.TH NNC 1 "" "nnc \([0-9.]*\)".*/\1/p' "$root/docs/nnc.1")" >manual.txt && "$NNC" --version | cmp - manual.txt; }
check "the manual has this version" version
manual_options() {
    "$NNC" --help | grep -oE '^ *(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | while read -r option; do
        sed 's/\\-/-/g' "$root/docs/nnc.1" | grep -q -- "$option" || { echo "the manual lacks $option"; exit 1; }
    done
}
check "the manual has every option" manual_options

# ---- errors of the program
check "errors have a place and a remedy" ends 1 "wrong.nn:4:.*error" "$NNC" wrong.nn -o wrong.c
check "all errors are told" has err.txt "did you mean .*relu" "did you mean .*SGD"
check "nothing is written for a wrong program" [ ! -e wrong.c ]
check "no colour in a file" ends 1 "error: " "$NNC" wrong.nn
no_escape() { ! grep -q "$(printf '\033')" err.txt; }
check "no escape sequences in a file" no_escape

# ---- names as Keras takes them
sed 's/SGD(0.1)/"ADAM"/; s/accuracy/"Accuracy"/' small.nn >uppercase.nn
check "names of optimizers and of accuracy in any case" ends 0 'adam/iteration' "$NNC" --emit=ir uppercase.nn
check "the metric is called as it is written" has out.txt '"Accuracy.total"'

# ---- files
check "a file that is not there" ends 3 "cannot read missing.nn" "$NNC" missing.nn
check "a folder as a program" ends 3 "name a file: nnc small.nn" "$NNC" .
check "a name without .nn" ends 3 "did you mean small.nn" "$NNC" small
check "a folder that is not there" ends 3 "cannot write" "$NNC" small.nn -o no/such/folder/x.c
mkdir -p locked && echo "old" >locked/small.c && chmod 444 locked/small.c
unwritable() {
    ends 3 "cannot write" "$NNC" small.nn -o locked/small.c && [ "$(cat locked/small.c)" = old ] && [ ! -e locked/small.h ]
}
if [ "$(id -u)" -eq 0 ]; then
    skip "unwritable output: root may write everywhere"
else
    check "an unwritable output is left as it was" unwritable
fi
# A disk with no room left, as a limit on the size of files.
echo "old" >old.c
no_room() {
    (
        trap '' XFSZ
        ulimit -f 0
        "$NNC" small.nn -o old.c 2>&1
        echo "status $?"
    ) | cat >limit.txt
    cat limit.txt
    grep -q "cannot write old.c" limit.txt && grep -q "status 3" limit.txt && [ "$(cat old.c)" = old ] && [ ! -e old.h ]
}
check "no room: the old file is left as it was" no_room
if [ -w /dev/full ]; then
    full() { "$NNC" small.nn -o - >/dev/full 2>err.txt; [ $? -eq 3 ] && grep -q "cannot write standard output" err.txt; }
    check "a full disk" full
else
    skip "a full disk: there is no /dev/full"
fi
check "the default output" "$NNC" small.nn
check "C and header lie in this folder" [ -s small.c -a -s small.h ]
no_leftovers() { ! ls | grep -q '\.new-'; }
check "no temporary files" no_leftovers
check "-o - gives the source alone" ends 0 "int main" "$NNC" small.nn -o -
alone() { cp out.txt alone.c && build alone.c alone -O1 -march=native && ./alone summary; }
check "which compiles alone" alone
from_pipe() { "$NNC" - -o piped.c <small.nn && grep -q "small_train_batch" piped.h; }
check "a program from a pipe" from_pipe

# ---- --emit and the passes
check "--emit=ast" ends 0 "Dense\(width" "$NNC" --emit=ast small.nn
cp out.txt again.nn
check "the tree is a program" "$NNC" again.nn -o again.c
check "--emit=ir" ends 0 "func @train_step" "$NNC" --emit=ir small.nn
check "the IR has fusions" has out.txt "fusion"
check "--skip leaves fusions out" ends 0 "func @train_step" "$NNC" --emit=ir --skip=fuse small.nn
no_fusion() { ! grep -q "= fusion" out.txt; }
check "there are none" no_fusion
check "--stop-after prints the IR" ends 0 "module @small" "$NNC" --stop-after=autodiff small.nn
check "--stop-after and kernels" ends 2 "needs what comes after" "$NNC" --stop-after=autodiff --emit=kernels small.nn
check "--print-after" ends 0 "# after autodiff" "$NNC" --print-after=autodiff small.nn -o printed.c
check "--time-passes" ends 0 "memory_plan +[0-9.]+ ms" "$NNC" --time-passes small.nn -o timed.c
dumped() { "$NNC" --dump-dir=dumps small.nn -o dumped.c && ls dumps/*fuse.ir dumps/*lower.kernels; }
check "--dump-dir makes its folder" dumped
check "which may be there" dumped
check "--dump-dir in no folder" ends 3 "cannot make the folder no/such" "$NNC" --dump-dir=no/such small.nn -o dumped.c
check "--stop-after=lower prints nests" ends 0 "^  nest" "$NNC" --stop-after=lower small.nn
check "--stop-after=map prints loops" ends 0 "^  (parallel|serial|unroll) " "$NNC" --stop-after=map small.nn
check "--print-after=layout" ends 0 "# after layout" "$NNC" --print-after=layout small.nn -o printed.c
check "--stop-after=lower and explain" ends 2 "needs what comes after" "$NNC" --stop-after=lower --emit=explain small.nn
check "--verify" "$NNC" --verify small.nn -o verified.c
check "--emit=kernels" ends 0 "train_dense_forward" "$NNC" --emit=kernels small.nn
check "--emit=summary" ends 0 "Trainable params: 38" "$NNC" --emit=summary small.nn
check "which has the arena" has out.txt "Arena bytes"
check "--emit=dot" ends 0 "^digraph small" "$NNC" --emit=dot small.nn
check "which has layers and what passes" has out.txt 'dense (Dense)\\n(None, 6)\\n24 parameters' 'n0 -> n1' 'n1 -> n2'
if command -v dot >/dev/null; then check "Graphviz reads it" dot -Tsvg out.txt -o graph.svg; else skip "Graphviz is not installed"; fi
check "--emit=explain names the functions of kernels" ends 0 "which 2 kernels share" "$NNC" --emit=explain small.nn
check "--emit=explain" ends 0 "% over this bound" "$NNC" --emit=explain small.nn
for words in 'train_step: [0-9]+ kernels, predicted for a batch: [0-9.]+ us, [0-9.]+ Mflop, [0-9.]+ % of the peak; reads' \
    'bound by (sums|pointwise|loads|memory): sums [0-9.]+, pointwise' \
    'Machine .*: [0-9.]+ GHz, FMA peak [0-9]+ GFLOPS a core; L1 [0-9]+ KB'; do
    check "it predicts: $words" ends 0 "$words" "$NNC" --emit=explain small.nn
done
within_peak() { "$NNC" --emit=explain --cpu=x86-64-v4 "$NNC_ROOT/examples/$1.nn" | grep -oE "[0-9.]+ % of the peak" | awk '$1 > 100 {bad = 1} END {exit bad || NR < 20}'; }
check "no kernel is beyond the peak, with windows of pooling and lists" within_peak digits-cnn
check "nor with triangles" within_peak shakespeare-gpt
check "for another CPU by the table" ends 0 "Machine \(generic\): 3.00 GHz, FMA peak 48 GFLOPS" "$NNC" --emit=explain --cpu=generic small.nn
check "for a GPU not at all" ends 0 "Times are predicted for CPUs only" "$NNC" --emit=explain --target=cuda small.nn
check "--emit=header" ends 0 "int small_train_batch" "$NNC" --emit=header small.nn
check "which is the header of the file" cmp out.txt small.h
check "--emit to a file" "$NNC" --emit=summary small.nn -o summary.txt
check "which has it" has summary.txt "Total params"
check "-D" ends 0 "Trainable params: 86" "$NNC" --emit=summary -D width=14 small.nn
check "-D of nothing" ends 1 "nothing" "$NNC" -D nothing=1 small.nn
check "--batch-size" ends 0 "SMALL_BATCH 512 " "$NNC" --emit=header --batch-size=512 small.nn
# A trainer has room for larger batches than those of fit; a library and what is shown are exact.
check "a trainer has room" ends 0 "SMALL_MAX_BATCH 128 " "$NNC" --emit=header small.nn
check "for a step of 8" has out.txt "SMALL_BATCH 8 "
check "--max-batch" ends 0 "SMALL_MAX_BATCH 300 " "$NNC" --emit=header --max-batch=300 small.nn
check "--max-batch below the step" ends 2 "less than the 8 samples" "$NNC" --max-batch=7 small.nn
exact() { "$NNC" --lib small.nn -o exact.c && ! grep -q MAX_BATCH exact.c exact.h && "$NNC" --emit=explain small.nn | grep -q "at most 8 samples"; }
check "a library is exact" exact
# A large arena: no more room than is asked for.
sed 's/Input(3)/Input((128, 128, 8)), Conv2D(64, 3), Flatten()/' small.nn >large.nn
large() { "$NNC" --emit=header large.nn >large.txt && ! grep -q MAX_BATCH large.txt && "$NNC" --emit=header --max-batch=64 large.nn | grep -q "MAX_BATCH 64 "; }
check "there is no room where it is dear" large
# Compiled for another instruction set: one message.
one_error() {
    for COMPILER in gcc clang; do
        command -v $COMPILER >/dev/null || continue
        $COMPILER -I"$root/runtime" -c guarded.c >said.txt 2>&1 && return 1
        [ "$(grep -c 'error' said.txt)" -ge 1 ] && [ "$(wc -l <said.txt)" -le 4 ] && grep -q "$1" said.txt || { cat said.txt; return 1; }
    done
}
if [ "$(uname -m)" = x86_64 ]; then
    for cpu in x86-64-v3 x86-64-v4; do
        "$NNC" --cpu=$cpu small.nn -o guarded.c
        check "$cpu compiled without its flag" one_error "compile this file with -march=$cpu"
    done
fi
for cpu in generic x86-64-v3 x86-64-v4; do
    for COMPILER in gcc clang; do
        command -v $COMPILER >/dev/null || { skip "$COMPILER is not installed"; continue; }
        on_cpu() { "$NNC" --cpu=$cpu small.nn -o cpu.c && $COMPILER -std=c11 -O1 -Wall -Wextra -Werror "$@" -I"$root/runtime" -c cpu.c; }
        case $cpu in generic) flags= ;; *) flags=-march=$cpu ;; esac
        # shellcheck disable=SC2086 # no flag or one
        [ "$(uname -m)" = x86_64 ] && check "--cpu=$cpu with $COMPILER" on_cpu $flags
    done
done

check "the example of a block is written as one writes it" ends 0 '^        epochs = 10$' "$NNC" help fit

# ---- new
# The comments behind the four commands begin in one column, for short and long names.
aligned() {
    for name in a a_name_that_is_longer_than_the_commands_are; do
        rm -f $name.nn
        "$NNC" new $name && sed -n 3,6p $name.nn | awk '{ match($0, / (train;|loss|predictions|the same)/); print RSTART }' |
            sort -u | awk '$1 > 30 { n++ } END { exit NR != 1 || n != 1 }' || return 1
    done
}
short_comment() {
    name=small_$(printf '%080d' 0).nn
    cp small.nn "$name" && "$NNC" "$name" -o long.c && sed '/^ [*]$/q' long.c | awk 'length($0) > 120 { bad = 1 } END { exit bad || NR < 3 }'
}
check "new" ends 0 "fresh.nn" "$NNC" new fresh
check "new aligns its comments" aligned
check "the first comment of C has 120 columns" short_comment
check "new does not overwrite" ends 3 "cannot write fresh.nn" "$NNC" new fresh
check "the new program compiles" "$NNC" fresh.nn -o fresh.c
report
