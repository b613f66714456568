"""Makes what every program of a row starts from: x.npy, y.npy, weights.safetensors (Keras' names), all made up from one
seed.

Needs: numpy, safetensors. Usage: make_data.py ROW FOLDER [CONSTANT=VALUE ...]. The samples lie in the order in which
they are used. x is float32 (numbers of characters too); y is float32, or int32 classes for a sparse loss.
"""
import math
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

from rows import Row, parse_constants


def data(row, rng):
    """x and y, with something to learn in them: fitting noise magnifies rounding until right programs disagree.
    Characters: the class hangs on the last two. Pictures: a pattern for each class, under noise. Vectors and series: what a
    random linear map says, its largest value for classes."""
    size, outputs = (row.samples, *row.input), row.output[-1]
    if row.vocabulary:
        x = rng.integers(0, row.vocabulary, size)
        return x, rng.integers(0, outputs, (row.vocabulary, row.vocabulary))[x, np.roll(x, 1, axis=1)]
    x = rng.uniform(-1, 1, size)
    if len(row.input) == 3:
        classes = rng.integers(0, outputs, row.samples)
        return x + 0.5 * rng.uniform(-1, 1, (outputs, *row.input))[classes], classes
    flat = x.reshape(len(x), -1)
    values = flat @ rng.standard_normal((flat.shape[1], outputs)) / math.sqrt(flat.shape[1])
    return x, values if row.loss == "mean_squared_error" else values.argmax(-1)


def initial(name, shape, rng):
    """Glorot's limits for kernels; LSTM's forget gate starts at 1; nothing here needs to be Keras' own numbers."""
    if name.endswith(("bias", "beta", "moving_mean")):
        value = np.zeros(shape, "float32")
        if "lstm_cell" in name:
            value[shape[0] // 4:shape[0] // 2] = 1
        return value
    if name.endswith(("gamma", "moving_variance")):
        return np.ones(shape, "float32")
    area = math.prod(shape[:-2])
    limit = 0.05 if name.endswith("embeddings") else math.sqrt(6 / (area * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype("float32")


def make(row, folder):
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    x, y = data(row, rng)
    if row.loss == "categorical_crossentropy":
        y = np.eye(row.output[-1])[y]
    np.save(folder / "x.npy", x.astype("float32"))
    np.save(folder / "y.npy", y.astype("int32" if row.loss.startswith("sparse") else "float32"))
    weights = {name: initial(name, shape, rng) for name, shape in row.weights().items()}
    save_file(weights, folder / "weights.safetensors")


if __name__ == "__main__":
    make(Row(sys.argv[1], **parse_constants(sys.argv[3:])), pathlib.Path(sys.argv[2]))
