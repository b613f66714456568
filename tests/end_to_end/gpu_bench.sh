#!/bin/sh
# bench/gpu.sh, as far as it goes without a device and without a Python package: its words, its messages, nnc's programs of
# its rows, a check of an example on the emulation, a fault that this check must find, and the report of made-up results.
. "$NNC_ROOT/tests/end_to_end/common.sh"
gpu=$root/bench/gpu.sh
CUDA_VISIBLE_DEVICES=
NNC_LIBS="$NNRT $NNC_LIBRARIES"
export CUDA_VISIBLE_DEVICES NNC_LIBS NNC
cd "$work" || exit 1

says() { # says STATUS WORDS COMMAND...
    wanted=$1 words=$2
    shift 2
    "$@" >says.txt 2>&1
    got=$?
    cat says.txt
    [ $got -eq "$wanted" ] && grep -q -e "$words" says.txt
}

check "bench/gpu.sh is shell" sh -n "$gpu"
check "without Python it says so" says 2 "no python-of-nobody here" env PYTHON=python-of-nobody "$gpu"
# A network of n layers, all with weights Dense: at most 3 n + 2 launches a step.
few_launches() {
    layers=$(sed -n '/^ \*.* [1-9][0-9]* parameters$/{/ Dense /!d;p;}' row.cu | wc -l)
    launches=$(sed -n '/^static void [a-z0-9_]*_train_step/,/^}/p' row.cu | grep -c '<<<')
    echo "$layers layers, $launches launches"
    [ "$layers" -gt 1 ] && [ "$launches" -gt "$layers" ] && [ "$launches" -le $((3 * layers + 2)) ]
}
for row in "$root"/bench/rows/*.nn; do
    check "nnc writes CUDA for $row" "$NNC" "$row" --target=cuda --gpu=sm_90 -o row.cu
    case ${row##*/} in seed.nn | mnist.nn | mlp512.nn | wide.nn | narrow.nn | odd_dense.nn) check "which needs few launches" few_launches ;; esac
done
PYTHON=$(command -v python3)
if [ -z "$PYTHON" ] || ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    skip "there is no Python 3.9, bench/gpu.sh does not run"
    report
fi
unset NNC_BENCH_VENV
export PYTHON

built_nothing() { says 2 "no device: .*Nothing was built" "$gpu" --work=nothing && [ ! -e nothing ]; }
check "it explains itself" says 0 "dry-run" "$gpu" --help
check "an unknown row" says 2 "no row called sed (there are: seed, " "$gpu" --rows=sed
check "an unknown part" says 2 "no part called row" "$gpu" --part=row
check "without a device it ends before it builds" built_nothing
check "without nnc it says what is missing" says 2 "there is no .*/nobody" env NNC="$work/nobody" "$gpu" --dry-run --part=checks --work=nowhere

# Results of a device, made up: what nnc took, what a peer took, and their losses.
results() {
    result='"first": 2, "memory": 1, "device_memory": 5e8'
    cat <<END
{"device": "a device", "rehearsal": false, "rounds": 1, "compiler": "nvcc", "missing": [], "checks": {
 "c": {"name": "an example, like C", "ok": $2, "said": ""}}, "cases": {"seed": {"row": "seed", "title": "seed, batch 32",
 "kind": "train", "batch": 32, "gpu": "sm_90", "precision": "float32", "flops": 1.9e6, "complete": true, "note": "",
 "launches": 7, "nnc_seconds": 0.1, "nvcc_seconds": 2, "lines": 1000, "results": [
 {"program": "nnc", $result, "best": 9, "median": 10, "loss": 1.5},
 {"program": "torch_eager", "tuned": false, $result, "best": 290, "median": 310, "loss": 1.50001, "launches": 61},
 {"program": "torch_graph", "tuned": true, $result, "best": 34, "median": 35, "loss": $1, "launches": 20}]}}}
END
}
results 1.5 true >good.json
results 1.6 true >losses.json
results 1.5 false >wrong.json
check "a report of good results" says 0 "31.0 x, 310 | 3.5 x, 35.0" "$gpu" --part=report --add=good.json --out=good
check "it leaves a table and a chart" grep -q "3.5 torch_graph" good/chart-gpu.svg
check "losses that differ are told" says 1 "the loss of torch_graph differs" "$gpu" --part=report --add=losses.json --out=losses
check "a check that failed is told" says 1 "an example, like C: FAILED" "$gpu" --part=report --add=wrong.json --out=wrong

if [ -n "$NNC_CFLAGS" ]; then
    skip "programs of bench/gpu.sh are not built with $NNC_CFLAGS"
    report
fi
rehearse() { "$gpu" --dry-run --part=checks --examples=diabetes --steps=1,5 --work="$work/$1"; }
check "a rehearsal of a check" says 0 "diabetes, like C after steps: ok (1: .*; 5: .* of the bound" rehearse right
check "runs with the same bits" grep -q "twice the same bits: ok" says.txt

rounded() { "$gpu" --dry-run --part=checks --examples=diabetes --variants=tf32,libraries --steps=3 --work="$work/right"; }
check "a check of a rounded program" says 0 "diabetes (tf32), like C after steps: ok (3: " rounded
check "of one for which a library has nothing to do" grep -q "diabetes (libraries), like C after steps: skipped (nothing in it is for a library)" says.txt
check "results of calls before are kept" grep -q "diabetes, like C after steps: ok (1: " right/report-gpu.md
# What fails or takes too long does not lose the others' results, nor those of a call before that was cut off.
cat >half <<END
#!/bin/sh
case "\$*" in *breast-cancer*) echo "error: made up" >&2; exit 4 ;; esac
exec "$NNC" "\$@"
END
chmod +x half
half() { NNC=$work/half "$gpu" --dry-run --part=checks --examples=breast-cancer,diabetes --steps=1 --work="$work/right"; }
check "an example that fails" says 1 "breast-cancer, like C after steps: FAILED (half: error: made up" half
check "does not keep others from being checked" grep -q "diabetes, like C after steps: ok" says.txt
cut_off() { printf '{"device": "", "checks": {"a' >right/results-gpu.json && "$gpu" --dry-run --part=checks --examples=diabetes --steps=1 --work="$work/right"; }
check "results that were cut off" says 0 "results-gpu.json cannot be read: left out" cut_off
late() { "$gpu" --dry-run --part=checks --examples=diabetes --minutes=0.0001 --work="$work/right"; }
check "the time is over" says 0 "part checks: skipped (left out, the 0.0001 minutes are over)" late
hangs() {
    printf '#!/bin/sh\nsleep 100 & sleep 100\n' >hanging && chmod +x hanging && PYTHONPATH=$root/bench "$PYTHON" -B -c 'import gpu_build, sys
try:
    gpu_build.command_output([sys.argv[1]], sys.argv[2], limit=0.3)
except gpu_build.BuildError as error:
    print(error)' "$work/hanging" "$work"
}
check "a compiler that does not end" says 0 "hanging: not done in 0 s" hangs

# An nnc whose CUDA has gradients that are a little too large.
cat >faulty <<END
#!/bin/sh
"$NNC" "\$@" && for output; do :; done
case \$output in *.cu) sed 's/batch \* 2\.0f/batch * 2.01f/' "\$output" >faulty.cu && ! cmp -s faulty.cu "\$output" && mv faulty.cu "\$output" ;; esac
END
chmod +x faulty
faulty() { NNC=$work/faulty "$gpu" --dry-run --part=checks --examples=diabetes --steps=5 --work="$work/wrong"; }
check "it finds gradients that are not those of C" says 1 "diabetes, like C after steps: FAILED (5: .* of the bound" faulty
report
