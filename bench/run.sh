#!/bin/sh
# Side by side: one training step of nnc and of its peers, same data, same weights, same order, same cores, interleaved.
# Usage: bench/run.sh [--row seed] [--cores 1|2] [--rounds N] [--peers-only]
# Environment: NNC (default build/driver/nnc), NNC_BENCH_VENV (default build/bench-venv, made if missing), CC (default gcc), PYTHON,
# NNC_LIBS (what the generated program links with; default: the nnrt beside nnc, and zlib).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
row=seed cores=1 rounds=3 peers_only=
while [ $# -gt 0 ]; do
    case $1 in
    --row | --rows) row=$2; shift 2 ;;
    --cores) cores=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --peers-only) peers_only=1; shift ;;
    *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
    esac
done
[ "$row" = seed ] || { echo "bench: no row called $row (there is: seed)" >&2; exit 2; }
case $cores in
1) set_cores="0" ;;
2) set_cores="0,1" ;;
*) echo "bench: --cores is 1 or 2" >&2; exit 2 ;;
esac
nnc=${NNC:-$root/build/driver/nnc}
venv=${NNC_BENCH_VENV:-$root/build/bench-venv}
cc=${CC:-gcc}
work=$root/build/bench/$row
flags="-std=c11 -O3 -march=native -Wall -Wextra"
mkdir -p "$work"
export OMP_NUM_THREADS="$cores" NNC_THREADS="$cores" BENCH_CORES="$cores" JAX_PLATFORMS=cpu

if [ ! -x "$venv/bin/python" ]; then
    echo "bench: making $venv (Keras, JAX, PyTorch: some gigabytes)" >&2
    "${PYTHON:-python3}" -m venv "$venv"
fi
if ! "$venv/bin/python" -c 'import jax, keras, torch, safetensors' 2>/dev/null; then
    "$venv/bin/python" -m pip install -q -r "$here/requirements.txt" >&2
fi

on_cores() { taskset -c "$set_cores" "$@"; }
command -v taskset >/dev/null || on_cores() { "$@"; }

"$venv/bin/python" "$here/make_data.py" "$work"
$cc $flags "$here/peak.c" -pthread -o "$work/peak"
if [ -z "$peers_only" ]; then
    "$nnc" "$here/$row.nn" --lib --cpu=native -o "$work/$row.c"
    $cc $flags -fopenmp -I"$root/runtime" -I"$work" -DHEADER="\"$row.h\"" -DMODEL="$row" "$work/$row.c" "$here/nnc_steps.c" \
        ${NNC_LIBS:-"$(dirname "$nnc")/../runtime/libnnrt.a" -lz} -lm -o "$work/nnc_steps"
fi

results=$work/results.txt
: >"$results"
round=0
while [ "$round" -lt "$rounds" ]; do
    echo "peak $(on_cores "$work/peak" "$cores")" >>"$results"
    [ -n "$peers_only" ] || on_cores "$work/nnc_steps" "$work" >>"$results"
    for peer in jax_scan torch_eager keras_jax; do
        on_cores "$venv/bin/python" "$here/peers/$peer.py" "$work" 2>>"$work/peers.log" >>"$results" ||
            { echo "bench: $peer failed, see $work/peers.log" >&2; exit 1; }
        [ -n "$peers_only" ] || on_cores "$work/nnc_steps" "$work" >>"$results"
    done
    echo "peak $(on_cores "$work/peak" "$cores")" >>"$results"
    round=$((round + 1))
done
echo "row $row, $cores core(s), $rounds round(s), $($cc --version | head -n 1)"
exec "$venv/bin/python" "$here/report.py" "$results"
