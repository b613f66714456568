"""The classic first Keras program as one writes it: 10 epochs, evaluate, predict.

Needs: keras and the backend that KERAS_BACKEND names. Usage: keras_whole.py ROW FOLDER.
"""
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import keras  # noqa: E402
import numpy as np  # noqa: E402

folder = pathlib.Path(sys.argv[2])
x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(64, activation="relu"),
                          keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="categorical_crossentropy")
model.fit(x, y, epochs=10, batch_size=32)
model.evaluate(x, y)
model.predict(x)
