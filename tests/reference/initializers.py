"""Statistics of Keras' initializers: the rows of fixtures/initializers.txt.

Needs: keras, numpy. Leaves: table() -> the text of the file; its first lines say what the columns mean.
The tolerances are five standard errors of the difference of two independent samples of this size (more for the extremes of
unbounded distributions), so a right implementation practically never fails and a wrong constant practically always does.
"""
import keras
import numpy as np

SAMPLES = 200_000
HEAD = """# Initializers of Keras 3: statistics of at least 200,000 values, drawn as many tensors of the given shape with different seeds.
# tol_* is the allowed absolute difference for an equally large sample; m4 is the mean of the fourth power.
# Orthogonal besides: the columns (rows, where there are fewer of them) of the tensor flattened to 2-D have length gain and are orthogonal.
# name arguments shape samples mean tol_mean std tol_std min tol_min max tol_max m4 tol_m4
"""
PLAIN = "zeros ones constant".split()
ROWS = [
    ("zeros", "", (7, 5)), ("ones", "", (7, 5)), ("constant", "value=0.3", (7, 5)),
    ("random_normal", "", (40, 50)), ("random_normal", "mean=0.5,stddev=0.2", (40, 50)),
    ("random_uniform", "", (40, 50)), ("random_uniform", "minval=-0.1,maxval=0.4", (40, 50)),
    ("truncated_normal", "", (40, 50)), ("truncated_normal", "mean=0.5,stddev=0.2", (40, 50)),
    *((name, "", shape) for name in ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal")
      for shape in ((20, 50), (3, 2, 5, 30), (40,))),
    ("orthogonal", "", (12, 12)), ("orthogonal", "", (20, 6)), ("orthogonal", "", (6, 20)), ("orthogonal", "gain=1.5", (3, 3, 2, 7)),
]
CLASSES = dict(zeros="Zeros", ones="Ones", constant="Constant", random_normal="RandomNormal", random_uniform="RandomUniform",
               truncated_normal="TruncatedNormal", glorot_uniform="GlorotUniform", glorot_normal="GlorotNormal",
               he_uniform="HeUniform", he_normal="HeNormal", lecun_uniform="LecunUniform", lecun_normal="LecunNormal",
               orthogonal="Orthogonal")


def draw(name, arguments, shape):
    """The values of many tensors, one after the other."""
    make = getattr(keras.initializers, CLASSES[name])
    given = eval(f"dict({arguments})")
    count = -(-SAMPLES // int(np.prod(shape)))
    if name in PLAIN:
        return np.tile(np.asarray(make(**given)(shape, dtype="float32")).reshape(-1), count)
    # A layer draws a whole tensor; its fans follow from the shape, so the values of one call with that shape are what counts.
    return np.concatenate([np.asarray(make(seed=k, **given)(shape, dtype="float32")).reshape(-1) for k in range(count)])


def extremes(name, values, std):
    """Allowed difference of the smallest and largest value: tight where the distribution is bounded."""
    if name in PLAIN:
        return 1e-7
    if name.endswith("uniform") or name.startswith(("truncated", "he_", "glorot", "lecun")):
        return 2e-3 * float(values.max() - values.min())
    return 1.0 * std


def row(name, arguments, shape):
    values = draw(name, arguments, shape).astype("float64")
    n = len(values)
    mean, std, m4 = values.mean(), values.std(), (values**4).mean()
    central = ((values - mean)**4).mean()
    factor = 5 * np.sqrt(2 / n)
    tol_std = 0.0 if std == 0 else factor * np.sqrt(max(central / std**4 - 1, 0.0)) / 2 * std
    bound = extremes(name, values, std)
    columns = [mean, factor * std, std, tol_std, values.min(), bound, values.max(), bound, m4, factor * (values**4).std()]
    if name in PLAIN:
        columns[1] = columns[3] = columns[9] = 1e-7
    return " ".join([name, arguments or "-", "x".join(map(str, shape)), str(n)] + [f"{c:.6g}" for c in columns]) + "\n"


def table():
    return HEAD + "".join(row(*entry) for entry in ROWS)
