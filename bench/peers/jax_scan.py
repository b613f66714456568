"""JAX: an epoch is one compiled program, lax.scan over the batches; buffers donated.

Needs: jax. Usage: jax_scan.py as in common.py; BENCH_UNROLL (default 1) unrolls the innermost scan, over time steps in
recurrent layers, else over batches. Data lie on the device, parameters and Adam's moments are updated in place. JAX takes
the device from JAX_PLATFORMS.
"""
import functools
import gzip
import json
import os
import pathlib
import tempfile

import jax
import jax.numpy as jnp

from common import BATCHES, DEVICE, PRECISION, load, measure

UNROLL = int(os.environ.get("BENCH_UNROLL", 1))
KEY = jax.random.key(1)
COMPUTE = jnp.bfloat16 if PRECISION == "mixed_bfloat16" else jnp.float32
if DEVICE != "cpu":  # a GPU rounds operands to TF32 unless it is told not to
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if PRECISION == "tf32" else "highest")


def activate(name, x):
    """The last softmax belongs to the loss."""
    if name is None or name == "softmax":
        return x
    return getattr(jax.nn, name)(x) if isinstance(name, str) else jax.nn.gelu(x, approximate=True)


def dense(x, w, layer, _):
    return activate(layer.named.get("activation"), x @ w[0] + w[1])


def conv2d(x, w, layer, _):
    strides, padding = (layer.named.get("strides", 1),) * 2, layer.named.get("padding", "valid").upper()
    y = jax.lax.conv_general_dilated(x, w[0], strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return activate(layer.named.get("activation"), y + w[1] if w[1:] else y)


def pooling(x, w, layer, _):
    window = (1, layer.args[0], layer.args[0], 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")


def dropout(x, w, layer, step):
    keep = 1 - layer.args[0]
    return x if keep == 1 else jnp.where(jax.random.bernoulli(jax.random.fold_in(KEY, step), keep, x.shape), x / keep, 0)


def over_time(layer, step, state, inputs):
    """inputs [batch, time, ...] -> states of all steps, or the last one."""
    state, outputs = jax.lax.scan(step, state, jnp.swapaxes(inputs, 0, 1), unroll=UNROLL)
    last = state[0] if isinstance(state, tuple) else state
    return jnp.swapaxes(outputs, 0, 1) if layer.named.get("return_sequences") else last


def lstm(x, w, layer, _):
    def step(state, projected):
        h, c = state
        i, f, g, o = jnp.split(projected + h @ w[1], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((len(x), layer.args[0]))
    return over_time(layer, step, (zero, zero), x @ w[0] + w[2])


def gru(x, w, layer, _):
    def step(h, projected):
        xz, xr, xh = jnp.split(projected, 3, -1)
        hz, hr, hh = jnp.split(h @ w[1] + w[2][1], 3, -1)
        z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
        h = z * h + (1 - z) * jnp.tanh(xh + r * hh)
        return h, h

    return over_time(layer, step, jnp.zeros((len(x), layer.args[0])), x @ w[0] + w[2][0])


def normalization(x, w, *_):
    return jax.nn.standardize(x, axis=-1, epsilon=1e-3) * w[0] + w[1]


def batch_normalization(x, w, layer, _):
    """The moving averages of the statistics become a part of the layer, where step() finds them."""
    now = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
    layer.statistics = {name: old + (new - old) * 0.01 for name, old, new in zip(list(layer.weights)[2:], w[2:], now)}
    return (x - now[0]) * jax.lax.rsqrt(now[1] + 1e-3) * w[0] + w[1]


def attention(x, w, *_):
    q, k, v = (jnp.einsum("btd,dhs->bths", x, w[i]) + w[i + 1] for i in (0, 2, 4))
    return jnp.einsum("bths,hsd->btd", jax.nn.dot_product_attention(q, k, v, is_causal=True), w[6]) + w[7]


def residual(x, w, layer, step):
    return x + apply(layer.body, w, x, step)


LAYERS = {"Dense": dense, "Conv2D": conv2d, "MaxPooling2D": pooling, "Flatten": lambda x, *_: x.reshape(len(x), -1),
          "Dropout": dropout, "Embedding": lambda x, w, *_: w[0][x], "PositionEmbedding": lambda x, w, *_: x + w[0], "LSTM": lstm,
          "GRU": gru, "LayerNormalization": normalization, "MultiHeadAttention": attention,
          "BatchNormalization": batch_normalization, "ReLU": lambda x, *_: jax.nn.relu(x),
          "GlobalAveragePooling2D": lambda x, *_: jnp.mean(x, (1, 2))}


def apply(layers, weights, x, step):
    for layer in layers:
        if layer.body:
            x = residual(x, weights, layer, step)
        else:
            x = LAYERS[layer.kind](x, [weights[name].astype(COMPUTE) for name in layer.weights], layer, step)
    return x


def loss_of(weights, row, x, y, step):
    output = apply(row.layers, weights, x if row.vocabulary else x.astype(COMPUTE), step).astype(jnp.float32)
    statistics = {name: value for layer in row.flat() for name, value in getattr(layer, "statistics", {}).items()}
    if row.loss == "mean_squared_error":
        return jnp.mean((output - y) ** 2), statistics
    logs = jax.nn.log_softmax(output)
    picked = jnp.take_along_axis(logs, y[..., None], -1) if row.loss.startswith("sparse") else jnp.sum(y * logs, -1)
    return -jnp.mean(picked), statistics


def step(row, state, batch, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    weights, m, v, t = state
    (loss, statistics), gradient = jax.value_and_grad(loss_of, has_aux=True)(weights, row, *batch, t)
    t = t + 1
    alpha = row.learning_rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    m = jax.tree.map(lambda m, g: m + (g - m) * (1 - beta_1), m, gradient)
    v = jax.tree.map(lambda v, g: v + (g * g - v) * (1 - beta_2), v, gradient)
    weights = jax.tree.map(lambda w, m, v: w - alpha * m / (jnp.sqrt(v) + epsilon), weights, m, v)
    return ({**weights, **statistics}, m, v, t), loss


def launches(action):
    """Kernels and copies that the device is given, as JAX's profiler sees them."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            action()
        traces = list(pathlib.Path(folder).rglob("*.trace.json.gz"))
        return sum(count_streams(json.loads(gzip.open(trace).read())["traceEvents"]) for trace in traces)


def count_streams(events):
    """Events of a trace on the streams of a GPU; the other lines of a GPU show the same in other words."""
    names = {"process_name": {}, "thread_name": {}}
    for e in events:
        if e.get("name") in names:
            names[e["name"]][e["pid"], e.get("tid") if e["name"] == "thread_name" else None] = e["args"]["name"]
    streams = {key for key, name in names["thread_name"].items()
               if name.startswith("Stream") and "GPU" in names["process_name"].get((key[0], None), "")}
    return sum(e.get("ph") == "X" and (e["pid"], e.get("tid")) in streams for e in events)


def main():
    row, x, y, start = load()
    batches = tuple(jnp.asarray(a.reshape(BATCHES, row.batch, *a.shape[1:])) for a in (x, y))
    recurrent = any(layer.kind in ("LSTM", "GRU") for layer in row.flat())

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state, batches):
        state, losses = jax.lax.scan(functools.partial(step, row), state, batches, unroll=1 if recurrent else UNROLL)
        return state, jnp.mean(losses)

    def restore():
        weights = {name: jnp.array(value) for name, value in start.items()}
        zeros = functools.partial(jax.tree.map, jnp.zeros_like, weights)
        return jax.block_until_ready((weights, zeros(), zeros(), jnp.zeros((), "int32")))

    def train(state, epochs):
        for _ in range(epochs):
            state, loss = epoch(state, batches)
        return jax.block_until_ready(loss)

    measure(f"jax_scan_unroll{UNROLL}", restore, train, launches=launches)


main()
