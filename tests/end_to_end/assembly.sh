#!/bin/sh
# The sums of emitted programs stay in registers: in the assembly that gcc and clang make of the examples, no inner loop of
# products touches the stack.
. "$NNC_ROOT/tests/end_to_end/common.sh"
go_to_examples

cat >"$work/spills.awk" <<'AWK'
# Loops of 8 and more products on vectors, with nothing else to compute but a sum that goes along. A stack operand is an
# address by the stack pointer alone, or by the frame pointer of functions that have one; a broadcast of one number reads
# data.
function look(first, last,    k, products, adds, others, spills) {
    for (k = first; k <= last; k++) {
        if (line[k] !~ /[yz]mm/) continue
        if (line[k] ~ /\tvfn?m(add|sub)/) products++
        else if (line[k] ~ /\tvadd/) adds++
        else if (line[k] ~ /\tv(mul|div|sub|sqrt|max|min|scalef|rndscale|cvt|pand|por|pxor|and|or|xor|blend|perm|cmp)/) others++
        if (line[k] ~ /broadcast|1to/) continue
        if (line[k] ~ /[ \t,]-?(0x)?[0-9a-f]*\(%rsp\)/ || (framed && line[k] ~ /[ \t,]-?(0x)?[0-9a-f]*\(%rbp\)/)) spills++
    }
    if (products < 8 || adds > 4 || others > 0) return
    loops++
    if (spills) { printf "%s %d spills beside %d products\n", name, spills, products; bad++ }
}
/^[A-Za-z_][A-Za-z0-9_.]*:/ { name = $1; n = framed = 0; split("", at); split("", line); split("", back) }
{ line[++n] = $0 }
/mov[a-z]*\t%rsp, ?%rbp/ { framed = 1 }
/^\.L[0-9A-Za-z_]*:/ { label = $1; sub(":.*", "", label); at[label] = n }
/^\tj[a-z]+\t\.L/ && ($2 in at) {
    inner = 1
    for (k = at[$2] + 1; k < n; k++) if ((k in back) && back[k] >= at[$2]) inner = 0
    back[n] = at[$2]
    if (inner) look(at[$2], n)
}
END { printf "%d loops of sums\n", loops; exit bad > 0 || loops < least }
AWK

sums() { # sums COMPILER CPU NAME LEAST [OPTION...]
    compiler=$1 cpu=$2 name=$3 least=$4
    shift 4
    "$NNC" "$name.nn" --lib --cpu="$cpu" -o "$work/$name.c" "$@" &&
        $compiler -std=c11 -O3 -march="$cpu" -w -I"$root/runtime" -I"$work" -S "$work/$name.c" -o "$work/$name.s" &&
        awk -v least="$least" -f "$work/spills.awk" "$work/$name.s"
}

case $(uname -m) in
x86_64) ;;
*) skip "assembly of this processor is not read"; report; exit ;;
esac
for compiler in gcc clang; do
    command -v $compiler >/dev/null || { skip "$compiler is not there"; continue; }
    check "keras-intro by $compiler" sums $compiler x86-64-v4 keras-intro 4
    check "digits-cnn by $compiler" sums $compiler x86-64-v4 digits-cnn 4
    check "series-gru by $compiler" sums $compiler x86-64-v4 series-gru 4
    check "shakespeare-lstm by $compiler" sums $compiler x86-64-v4 shakespeare-lstm 8
done
check "shakespeare-gpt by gcc" sums gcc x86-64-v4 shakespeare-gpt 8
report
