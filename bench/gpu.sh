#!/bin/sh
# The same rows on a GPU: builds nnc and its programs, checks them, and measures them beside PyTorch and JAX. Nothing is
# fetched: needs Python, nvcc and, for the peers, PyTorch and JAX with CUDA as they are installed. bench/README.md.
# Usage: bench/gpu.sh --help
# Environment: PYTHON (default: that of NNC_BENCH_VENV, else python3), NNC and NNC_LIBS as for bench/run.sh, CC, CXX.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-${NNC_BENCH_VENV:+$NNC_BENCH_VENV/bin/}python3}
command -v "$python" >/dev/null || {
    echo "bench: no $python here: nothing can be built or measured. PYTHON=... names one." >&2
    exit 2
}
exec "$python" "$here/gpu.py" "$@"
