"""Keras 3 on JAX: model.fit as one writes it (jit_compile is Keras' own default there), progress bar off.

Needs: keras, jax. Usage: keras_jax.py FOLDER. A call of fit trains all epochs of a repeat, so its fixed cost is spread as a user's is.
"""
import os

os.environ["KERAS_BACKEND"] = "jax"
import keras

from common import BATCH, EPOCHS, load, measure


def main():
    x, y, weights = load()
    model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(64, activation="relu"),
                              keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10, activation="softmax")])
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    start = [v.numpy() for v in model.optimizer.variables]

    def restore():
        for w in model.weights:
            w.assign(weights[w.path.split("/", 1)[1]])
        for v, value in zip(model.optimizer.variables, start):
            v.assign(value)

    def train(_):
        return model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"][-1]

    measure("keras_jax", restore, train, len(x), repeats=6)


main()
