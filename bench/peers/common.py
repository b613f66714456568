"""What the peers share: loading the row's data, and timing epochs the way bench/nnc_steps.c does.

A repeat is EPOCHS epochs from the same initial state; the first repeat is not counted (compilation, first touch).
"""
import pathlib
import sys
import time

import numpy as np
from safetensors.numpy import load_file

BATCH, EPOCHS, REPEATS = 32, 10, 15


def load():
    folder = pathlib.Path(sys.argv[1])
    return np.load(folder / "x.npy"), np.load(folder / "y.npy"), load_file(folder / "weights.safetensors")


def layer_names(weights):
    return ["dense" if i == 0 else f"dense_{i}" for i in range(len(weights) // 2)]


def measure(name, restore, train, samples, repeats=REPEATS):
    """restore() -> state; train(state) -> mean loss of the last epoch, after the work is really done. Prints one result line."""
    steps, times = EPOCHS * -(-samples // BATCH), []
    for _ in range(repeats + 1):
        state = restore()
        start = time.perf_counter()
        loss = train(state)
        times.append((time.perf_counter() - start) / steps * 1e6)
    times = sorted(times[1:])
    print(f"{name} {times[0]:.3f} {times[len(times) // 2]:.3f} {float(loss):.7f}", flush=True)
