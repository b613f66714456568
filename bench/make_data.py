"""Makes what every program of a row starts from: x.npy, y.npy (one-hot float32), weights.safetensors (Keras' names).

Needs: numpy, safetensors. Usage: make_data.py FOLDER. The rows are already in the order in which they are used.
"""
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

WIDTHS, SAMPLES = (100, 64, 64, 10), 1000


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    np.save(folder / "x.npy", rng.random((SAMPLES, WIDTHS[0]), dtype="float32"))
    np.save(folder / "y.npy", np.eye(WIDTHS[-1], dtype="float32")[rng.integers(0, WIDTHS[-1], SAMPLES)])
    weights = {}
    for i, (rows, columns) in enumerate(zip(WIDTHS, WIDTHS[1:])):
        limit = np.sqrt(6 / (rows + columns))
        name = f"dense_{i}" if i else "dense"
        weights[name + "/kernel"] = rng.uniform(-limit, limit, (rows, columns)).astype("float32")
        weights[name + "/bias"] = np.zeros(columns, "float32")
    save_file(weights, folder / "weights.safetensors")


if __name__ == "__main__":
    main()
