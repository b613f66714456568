#!/bin/sh
# Side by side: nnc and its peers, same data, same weights, same order, same cores, taking turns.
# Usage: bench/run.sh [--rows seed,mnist,..|all] [--cores 1|2] [--rounds N] [--seconds S] [--blas] [--peers-only]
# Environment: NNC (default build/driver/nnc), NNC_BENCH_VENV (default build/bench-venv, made if missing),
# CC (default gcc), PYTHON, NNC_LIBS (what the generated program links with; default: the nnrt beside nnc, and zlib).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
venv=${NNC_BENCH_VENV:-$root/build/bench-venv}
if [ ! -x "$venv/bin/python" ]; then
    echo "bench: making $venv (Keras, JAX, PyTorch: some gigabytes)" >&2
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install -q -r "$here/requirements.txt" >&2
    # Peers that not every machine has: without them their columns stay empty.
    for package in tensorflow-cpu "onnx onnxruntime"; do
        "$venv/bin/python" -m pip install -q $package >&2 || echo "bench: no $package here" >&2
    done
fi
exec "$venv/bin/python" "$here/bench.py" "$@"
