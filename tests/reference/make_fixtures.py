"""Makes the fixtures that pin nnc to the numbers of Keras 3: see README.md.

Needs: requirements.txt. Leaves: fixtures/<case>.nn, fixtures/<case>.safetensors and fixtures/initializers.txt.
Usage: make_fixtures.py [--only TEXT] [--check] [--from-case N] [--no-initializers]
Keras runs in float64 and what it gives is stored as float32, so that a comparison sees only the error of the program under
test. --check runs Keras in float32 against the files instead and prints how far that is away, worst cases first.
"""
import argparse
import os
import pathlib
import sys

os.environ["KERAS_BACKEND"] = "jax"
CHECK = "--check" in sys.argv
if not CHECK:
    os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import keras
import numpy as np
from safetensors.numpy import load_file, save_file

import cases
import initializers
import nn_reader

keras.config.set_floatx("float32" if CHECK else "float64")
if not CHECK:
    # On JAX Keras takes every mixed result back to float32, the statistics of its normalisations among them.
    keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
FOLDER = pathlib.Path(__file__).parent / "fixtures"


def random_weight(rng, path, shape):
    """Values that hide nothing: no zeros, gammas away from one."""
    name = path.split("/")[-1]
    if name == "kernel":
        return rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
    if name == "moving_variance":
        return rng.uniform(0.5, 1.5, shape)
    return rng.normal(size=shape) * 0.3 + (name in ("gamma", "scale"))


def scale_kernels(weights, factor):
    for path in weights:
        if path.endswith("/kernel"):
            weights[path] = weights[path] * factor


def make_wide(rng, weights):
    """First layer: pre-activations over -6..6 and a few near 20 on either side, the second likewise without those."""
    for path, scale in (("dense/kernel", 3.0), ("dense_1/kernel", 0.3)):
        weights[path] = weights[path] * scale
    weights["dense/bias"] = rng.uniform(-1.5, 1.5, weights["dense/bias"].shape)
    weights["dense/bias"][:2] = -20.0, 20.0


def targets(rng, kind, rows, shape):
    if kind == "real":
        return rng.normal(size=(rows, *shape))
    if kind in ("binary", "binary_flat"):
        return rng.integers(0, 2, (rows, *shape) if kind == "binary" else rows).astype("float64")
    if kind == "distribution":
        y = rng.uniform(0.1, 1.0, (rows, *shape))
        return y / y.sum(-1, keepdims=True)
    classes = rng.integers(0, shape[-1], (rows, *shape[:-1]))
    if kind == "one_hot":
        return np.eye(shape[-1])[classes]
    return (classes[..., None] if kind == "classes_column" else classes).astype("int32")


def rows_of(rng, entry, shape):
    """The input: real numbers or ids, padded behind a length of each row (one row has the shortest)."""
    x = rng.integers(0, entry["ids"], shape).astype("float64") if "ids" in entry else rng.normal(size=shape)
    if "padded" in entry:
        axis = len(shape) - 1 if "ids" in entry else max(1, len(shape) - 2)
        lengths = rng.integers(entry.get("shortest", 0), shape[axis] + 1, shape[:axis])
        lengths.flat[1] = entry.get("shortest", 0)
        behind = np.arange(shape[axis]) >= lengths[..., None]
        if axis == len(shape) - 1 and "ids" not in entry:
            behind = np.broadcast_to(lengths[..., None] < 2, shape)
        x[behind] = entry["padded"]
    return x


def inputs(entry, model, seed):
    """Data and initial weights of a case, exact in float32."""
    rng = np.random.default_rng(seed)
    rows = entry["rows"]
    x = rows_of(rng, entry, (rows, *model.input_shape[1:]))
    data = {"x": x, "y": targets(rng, entry["target"], rows, model.output_shape[1:])}
    if entry.get("weights"):
        data["sample_weight"] = rng.uniform(0.2, 2.5, rows)
    weights = {w.path: random_weight(rng, w.path, w.shape) for w in model.weights}
    scale_kernels(weights, entry.get("scale", 1.0))
    if entry.get("wide"):
        make_wide(rng, weights)
    data = {k: v if v.dtype == np.int32 else v.astype("float32") for k, v in data.items()}
    return data, {k: v.astype("float32") for k, v in weights.items()}


def restore(model, weights):
    for w in model.weights:
        w.assign(weights[w.path])


def class_weights(entry, y):
    """The sample weights that a class_weight line stands for, as fit() makes them; None without such a line."""
    for line in entry.get("fit", []):
        if line.startswith("class_weight"):
            table = eval(line.split(" = ")[1])
            classes = y if y.dtype == np.int32 else y[:, 0] if y.shape[-1] == 1 else y.argmax(-1)
            return table, np.array([table.get(int(c), 1.0) for c in classes.reshape(-1)])
    return None, None


def gradients(model, x, y, weight):
    """Loss in training mode, regularisation included, and its gradient for every trainable weight."""
    trainable = [w.value for w in model.trainable_variables]
    fixed = [w.value for w in model.non_trainable_variables]
    metrics = [w.value for w in model.metrics_variables]

    def loss(values):
        return model.compute_loss_and_updates(values, fixed, metrics, x, y, weight, training=True,
                                              optimizer_variables=[v.value for v in model.optimizer.variables])[0]

    value, result = jax.value_and_grad(loss)(trainable)
    return value, {w.path: g for w, g in zip(model.trainable_variables, result)}


def optimizer_state(model):
    return {v.path: v for v in model.optimizer.variables}


def train(entry, model, data, out):
    """Five steps in the order of the rows: the first gradient, the losses, all weights and slots afterwards."""
    batch, table = entry["batch"], class_weights(entry, data["y"])
    weight = data.get("sample_weight", table[1])
    out["loss"], first = gradients(model, *(None if v is None else keras.ops.convert_to_tensor(v[:batch])
                                            for v in (data["x"], data["y"], weight)))
    out.update({"gradient/" + path: g for path, g in first.items()})
    values = []
    for start in range(0, entry["rows"], batch):
        rows = slice(start, start + batch)
        model.reset_metrics()
        given = {"sample_weight": data["sample_weight"][rows]} if "sample_weight" in data else {"class_weight": table[0]}
        values.append(model.train_on_batch(data["x"][rows], data["y"][rows], return_dict=True, **given)["loss"])
    assert len(values) == 5
    out["losses"] = np.array(values)
    out.update({"step5/" + w.path: w for w in model.weights})
    out.update({"step5/" + path: v for path, v in optimizer_state(model).items()})


def compute(entry, text, seed):
    """All tensors of one case."""
    keras.utils.clear_session()
    model = nn_reader.build(nn_reader.read(text))
    data, weights = inputs(entry, model, seed)
    out = dict(data)
    out.update({"initial/" + path: w for path, w in weights.items()})
    restore(model, weights)
    out["output"] = model.predict(data["x"], batch_size=entry["batch"], verbose=0)
    result = model.evaluate(data["x"], data["y"], sample_weight=data.get("sample_weight"), batch_size=entry["batch"],
                            verbose=0, return_dict=True)
    out["evaluate_loss"] = result.pop("loss")
    out.update({"metric/" + name: value for name, value in result.items()})
    if entry.get("train", True):
        restore(model, weights)
        train(entry, model, data, out)
    return {name: storable(value) for name, value in out.items()}


def storable(value):
    value = np.asarray(value)
    assert np.isfinite(value).all()
    return np.array(value, dtype="int32" if value.dtype.kind in "iu" else "float32", order="C")


def distance(got, expected):
    """Largest difference over largest expected value, per tensor; the worst name first."""
    worst = (0.0, "")
    for name, value in expected.items():
        size = max(float(np.abs(value).max()), 1e-30)
        worst = max(worst, (float(np.abs(got[name].astype("float64") - value).max()) / size, name))
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--no-initializers", action="store_true")
    parser.add_argument("--from-case", type=int, default=1, help="number of the first case")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    report = []
    for number, (name, entry) in enumerate(cases.CASES.items()):
        if options.only not in name or number + 1 < options.from_case:
            continue
        text = cases.program(entry)
        tensors = compute(entry, text, entry.get("seed", sum(map(ord, name)) * 7 + len(name)))
        if options.check:
            report.append((*distance(tensors, load_file(FOLDER / f"{name}.safetensors")), name))
        else:
            (FOLDER / f"{name}.nn").write_text(text)
            save_file(tensors, FOLDER / f"{name}.safetensors")
            (FOLDER / f"{name}.safetensors").chmod(0o644)
        print(f"{number + 1}/{len(cases.CASES)} {name}", flush=True)
    for error, tensor, name in sorted(report, reverse=True):
        print(f"{error:.2e} {name} {tensor}")
    if not (options.check or options.no_initializers or options.only):
        (FOLDER / "initializers.txt").write_text(initializers.table())


if __name__ == "__main__":
    main()
