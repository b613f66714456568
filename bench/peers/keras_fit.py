"""Keras 3: model.fit as one writes it (jit_compile is Keras' own choice), progress bar off. For the clock the epochs of a
repeat become one long epoch of one call, so that what a call and an epoch cost is spread.

Needs: keras and the backend that KERAS_BACKEND names (jax, tensorflow). Usage: keras_fit.py as in common.py.
"""
import functools
import os

BACKEND = os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras  # noqa: E402
import numpy as np  # noqa: E402

from common import CORES, load, measure  # noqa: E402

if BACKEND == "tensorflow":
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(CORES)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)


class PositionEmbedding(keras.layers.Layer):
    """Keras has it in KerasHub."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def build(self, shape):
        self.embeddings = self.add_weight(shape=(self.count, shape[-1]), name="embeddings")

    def call(self, x):
        return x + self.embeddings


class Adam(keras.optimizers.Adam):
    """On TensorFlow Keras squares the parts of an embedding's gradient before it adds those of one row: another function."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(tensorflow.convert_to_tensor(gradient), variable, learning_rate)


def argument(value):
    """gelu(approximate=true) is a function with an argument."""
    return functools.partial(getattr(keras.activations, value.kind), **value.named) if hasattr(value, "kind") else value


def build(layers, x):
    for layer in layers:
        if layer.body:
            x = x + build(layer.body, x)
        elif layer.kind == "MultiHeadAttention":
            x = keras.layers.MultiHeadAttention(*layer.args)(x, x, **layer.named)
        else:
            kind = PositionEmbedding if layer.kind == "PositionEmbedding" else getattr(keras.layers, layer.kind)
            x = kind(*layer.args, **{name: argument(value) for name, value in layer.named.items()})(x)
    return x


def main():
    row, x, y, weights = load()
    inputs = keras.Input(row.input, dtype=x.dtype.name)
    model = keras.Model(inputs, build(row.layers, inputs))
    optimizer = (Adam if BACKEND == "tensorflow" and row.vocabulary else keras.optimizers.Adam)(row.learning_rate)
    model.compile(optimizer=optimizer, loss=row.loss)
    model.optimizer.build(model.trainable_variables)
    start = [v.numpy() for v in model.optimizer.variables]

    def restore():
        for variable, name in zip(model.trainable_variables, row.learned(), strict=True):
            variable.assign(weights[name])
        for variable, value in zip(model.optimizer.variables, start):
            variable.assign(value)

    def train(_, epochs, x=x, y=y):
        return model.fit(x, y, batch_size=row.batch, epochs=epochs, shuffle=False, verbose=0).history["loss"][-1]

    @functools.cache
    def repeated(epochs):
        return [np.concatenate([a] * epochs) for a in (x, y)]

    def train_one_epoch(_, epochs):
        return train(_, 1, *repeated(epochs))

    measure("keras_" + {"jax": "jax", "tensorflow": "tf"}[BACKEND], restore, train, train_one_epoch)


main()
