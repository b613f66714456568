"""What the peers share: the row, its data, and the clock. bench/nnc_steps.c does the same in C.

Usage of every peer: PEER.py ROW FOLDER [CONSTANT=VALUE ...]; BENCH_SECONDS is how long to measure (0: only the loss),
BENCH_CORES how many threads. Leaves one line of JSON on standard output.
"""
import json
import os
import pathlib
import sys
import time

import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from rows import BATCHES, EPOCHS, Row, parse_constants  # noqa: E402

SECONDS = float(os.environ.get("BENCH_SECONDS", 3))
CORES = int(os.environ.get("BENCH_CORES", 1))
REPEAT_SECONDS, MOST_EPOCHS, FEWEST_REPEATS = 0.25, 40, 3


def load():
    """Row, x (characters as int32), y, weights."""
    row, folder = Row(sys.argv[1], **parse_constants(sys.argv[3:])), pathlib.Path(sys.argv[2])
    x = np.load(folder / "x.npy")
    return row, x.astype("int32") if row.vocabulary else x, np.load(folder / "y.npy"), load_file(folder / "weights.safetensors")


def channels_first(row, x, weights):
    """Samples and weights for frameworks with pictures as (channels, height, width): kernels, and the layer behind Flatten."""
    weights, flattened = dict(weights), None
    for layer in row.flat():
        if layer.kind == "Conv2D":
            name = next(iter(layer.weights))
            weights[name] = weights[name].transpose(3, 2, 0, 1)
        elif layer.kind == "Flatten":
            flattened = layer.inputs
        elif layer.kind == "Dense" and flattened:
            name = next(iter(layer.weights))
            shape, flattened = flattened, None
            weights[name] = weights[name].reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(weights[name].shape)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if len(row.input) == 3 else x, weights


def peak_memory():
    """Most memory this process had at a time, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def report(program, first, times, loss=None):
    times = sorted(times)
    print(json.dumps({"program": program, "first": first, "best": times[0] if times else None,
                      "median": times[len(times) // 2] if times else None, "loss": loss, "memory": peak_memory()}), flush=True)


def timed(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def measure(program, restore, train, train_timed=None):
    """restore() -> state as at the start; train(state, epochs) -> mean loss of the last epoch, once the work is really done.
    The first epoch is for the time to the first step; the next repeat, of EPOCHS, gives the loss and how many epochs a repeat
    takes that is long enough for the clock. Only then time is taken, of train_timed if it is given."""
    train(restore(), 1)
    first = time.monotonic()
    state = restore()
    seconds, loss = timed(lambda: train(state, EPOCHS))
    epochs = min(max(1, int(REPEAT_SECONDS * EPOCHS / seconds)), MOST_EPOCHS)
    times, end = [], time.monotonic() + SECONDS
    while SECONDS and (len(times) < FEWEST_REPEATS or time.monotonic() < end):
        state = restore()
        times.append(timed(lambda: (train_timed or train)(state, epochs))[0] / (epochs * BATCHES) * 1e6)
    report(program, first, times, float(loss))
