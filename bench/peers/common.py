"""What the peers share: the row, its data, and the clock. bench/nnc_steps.c does the same in C.

Usage of every peer: PEER.py ROW FOLDER [CONSTANT=VALUE ...]; BENCH_SECONDS is how long to measure (0: only the loss; `-`: a
number of seconds on each line of standard input, in turn, or `launches`), BENCH_CORES how many threads, BENCH_DEVICE cpu
or cuda, BENCH_PRECISION one of Keras' policies or tf32, BENCH_EPOCHS the epochs behind which the loss is taken. Leaves one
line of JSON on standard output, in turns one for each.
"""
import json
import os
import pathlib
import sys
import time
import traceback

import numpy as np
from safetensors.numpy import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from rows import BATCHES, EPOCHS, Row, parse_constants  # noqa: E402

SECONDS = os.environ.get("BENCH_SECONDS", "3")
DEVICE = os.environ.get("BENCH_DEVICE", "cpu")
PRECISION = os.environ.get("BENCH_PRECISION", "float32")
CORES = int(os.environ.get("BENCH_CORES", 1))
LOSS_EPOCHS = int(os.environ.get("BENCH_EPOCHS", EPOCHS))
REPEAT_SECONDS, MOST_EPOCHS, FEWEST_REPEATS = 0.25, 40, 3
PATIENCE = 10  # times the seconds that were asked for, after which fewer repeats do


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


def say(program, **values):
    print(json.dumps({"program": program, **values}), flush=True)


def report(program, first, times, loss=None):
    times = sorted(times)
    say(program, first=first, best=times[0] if times else None, median=times[len(times) // 2] if times else None, loss=loss,
        memory=peak_memory())


def turns():
    """What is asked for: seconds, or a word."""
    lines = sys.stdin if SECONDS == "-" else [SECONDS]
    for line in map(str.strip, lines):
        yield line if line.isalpha() else float(line)


def timed(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def count_launches(restore, action, launches):
    """Per step; None where nothing is launched, or the profiler does not work: a yardstick must not end a measurement."""
    if DEVICE == "cpu" or not launches:
        return None
    restored = restore()
    try:
        return launches(lambda: action(restored, 1)) / BATCHES or None
    except Exception:
        traceback.print_exc()
        return None


def measure(program, restore, train, train_timed=None, train_first=None, launches=None):
    """restore() -> state as at the start; train(state, epochs) -> mean loss of the last epoch, once the work is really done.
    The first epoch is for the time to the first step; the next repeat, of LOSS_EPOCHS, gives the loss and how many epochs a
    repeat takes that is long enough for the clock. Only then time is taken, of train_timed if it is given.
    launches(action) counts what an action gives the device to do."""
    train_timed, train_first = train_timed or train, train_first or train
    train_first(restore(), 1)
    first = time.monotonic()
    state = restore()
    seconds, loss = timed(lambda: train(state, LOSS_EPOCHS))
    if train_first is not train:
        state = restore()
        seconds, _ = timed(lambda: train_first(state, LOSS_EPOCHS))
    epochs = min(max(1, int(REPEAT_SECONDS * LOSS_EPOCHS / seconds)), MOST_EPOCHS)
    for asked in turns():
        if asked == "launches":
            say(program, launches=count_launches(restore, train_timed, launches))
        else:
            report(program, first, take_times(restore, train_timed, epochs, asked), float(loss))


def enough(repeats, turns):
    """Whether so many repeats will do that took so many times the seconds asked for."""
    return repeats and turns >= (1 if repeats >= FEWEST_REPEATS else PATIENCE)


def take_times(restore, train, epochs, seconds):
    """Microseconds a step, of every repeat."""
    times, start = [], time.monotonic()
    while seconds and not enough(len(times), (time.monotonic() - start) / seconds):
        state = restore()
        times.append(timed(lambda: train(state, epochs))[0] / (epochs * BATCHES) * 1e6)
    return times
