# Shared by the shell tests of this folder. Needs in the environment (tests/CMakeLists.txt): NNC, the compiler; NNRT, its
# runtime library; NNC_ROOT, the source tree; NNC_LIBRARIES, what a program links beside them; NNC_CFLAGS, further flags of
# the build. Leaves: $work, a folder that is removed at the end, and the functions below.
set -u
root=$NNC_ROOT
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
XDG_CACHE_HOME=$work/cache
export XDG_CACHE_HOME
unset NNC_THREADS OMP_NUM_THREADS NNC_PROGRAM
if [ -n "$NNC_CFLAGS" ]; then # `nnc run` compiles with the same flags
    CC="${CC:-cc} $NNC_CFLAGS"
    export CC
fi

# check WORDS COMMAND...: one check, named by the words, is that the command succeeds.
check() {
    what=$1
    shift
    "$@" >"$work/said" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'failed: %s (status %s): %s\n' "$what" $status "$*"
        tail -n 20 "$work/said" | sed 's/^/    /'
    fi
}

# skip WORDS: says aloud what was not tested.
skip() { printf 'skipped: %s\n' "$*"; }

# same FILE FILE...: all have the bytes of the first.
same() {
    first=$1
    for other in "$@"; do cmp "$first" "$other" || return 1; done
}

# ends STATUS WORDS COMMAND...: it ends so, and says these words (an extended regular expression). What it says stays in
# $work/out.txt and $work/err.txt.
ends() {
    wanted=$1 words=$2
    shift 2
    "$@" >"$work/out.txt" 2>"$work/err.txt"
    got=$?
    cat "$work/out.txt" "$work/err.txt"
    [ $got -eq "$wanted" ] && cat "$work/out.txt" "$work/err.txt" | grep -Eq -- "$words"
}

# lacks [OPTION..] WORDS FILE: as grep has them.
lacks() { ! grep -q "$@"; }

# header TYPE SHAPE: what a NumPy file begins with.
header() { printf "\223NUMPY\001\000v\000"; printf "%-117s\n" "{'descr': '$1', 'fortran_order': False, 'shape': $2, }"; }

# part FILE: the code block of docs/library.md after the line that begins with `FILE`, as that file.
part() {
    awk -v name="\`$1\`" '
        index($0, name) == 1 { found = 1; next }
        found && /^```/ { if (inside) exit; inside = 1; next }
        inside { print }' "$root/docs/library.md" >"$1"
    [ -s "$1" ]
}

# near FILE FILE [TOLERANCE]: their numbers agree, to 2 in 1,000 or what is said, with a little room around zero.
near() {
    paste -d ' ' "$1" "$2" | awk -v tolerance="${3:-0.002}" '{
        gsub(/[^-+0-9.e ]/, " ")
        for (i = 1; i <= NF / 2; i++) {
            a = $i; b = $(i + NF / 2); d = a - b; if (d < 0) d = -d; m = a < 0 ? -a : a
            if (d > tolerance * (m + 1)) { print "line " NR ": " a " and " b; bad = 1 }
            n++
        }
    } END { exit bad || n == 0 }'
}

# holds "AWK CONDITION": arithmetic on fractions, which the shell does not have.
holds() { awk "BEGIN { exit !($1) }"; }

# build SOURCE PROGRAM [FLAG...]: the emitted C to a program, all warnings are errors.
build() {
    source=$1 program=$2
    shift 2
    # shellcheck disable=SC2086 # lists of words
    "${COMPILER:-cc}" -std=c11 -Wall -Wextra -Werror -Wno-psabi $NNC_CFLAGS "$@" -I"$root/runtime" "$source" "$NNRT" $NNC_LIBRARIES -lm -o "$program"
}

# changing SOURCE PROGRAM: the same trainer, but its number of threads changes every few steps.
changing() {
    build "$root/tests/end_to_end/threads/changing.c" "$2" -O2 -march=native -fopenmp -DSOURCE="\"$1\"" -I. \
        -DPROGRAM="$(sed -n 's/^static const nnrt_program \([a-z0-9_]*\) = {$/\1/p' "$1")"
}

# The examples have their data beside them; programs run there.
examples() { for file in "$root"/examples/*.nn; do basename "$file" .nn; done; }
go_to_examples() { cd "$root/examples" || exit 1; }
# little_data NAME: the option by which an epoch of an example with much data is short; run from examples/.
little_data() {
    grep -q data/tinyshakespeare.txt "$1.nn" || return 0
    [ -s "$work/little.txt" ] || head -c 20000 data/tinyshakespeare.txt >"$work/little.txt"
    echo "--train=$work/little.txt"
}

report() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}
