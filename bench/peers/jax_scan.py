"""JAX: one compiled program an epoch, lax.scan over the full batches and the short last one after it; buffers donated.

Needs: jax. Usage: jax_scan.py FOLDER. The data are on the device, parameters and Adam's moments are updated in place. Two scan
unrollings are measured; the better one counts.
"""
import functools

import jax
import jax.numpy as jnp

from common import BATCH, EPOCHS, layer_names, load, measure


def forward_loss(parameters, x, y):
    for kernel, bias in parameters[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    kernel, bias = parameters[-1]
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(x @ kernel + bias), axis=-1))


def step(state, batch, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    parameters, m, v, t = state
    loss, gradient = jax.value_and_grad(forward_loss)(parameters, *batch)
    t = t + 1.0
    alpha = learning_rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    m = jax.tree.map(lambda m, g: m + (g - m) * (1 - beta_1), m, gradient)
    v = jax.tree.map(lambda v, g: v + (g * g - v) * (1 - beta_2), v, gradient)
    parameters = jax.tree.map(lambda w, m, v: w - alpha * m / (jnp.sqrt(v) + epsilon), parameters, m, v)
    return (parameters, m, v, t), loss * batch[0].shape[0]


def make_epoch(x, y, unroll):
    full = len(x) // BATCH * BATCH
    batches = tuple(a[:full].reshape(-1, BATCH, a.shape[-1]) for a in (x, y))
    rest = (x[full:], y[full:])

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state, batches, rest):
        state, losses = jax.lax.scan(step, state, batches, unroll=unroll)
        state, last = step(state, rest) if len(rest[0]) else (state, 0.0)
        return state, (jnp.sum(losses) + last) / len(x)

    return lambda state: epoch(state, batches, rest)


def main():
    x, y, weights = load()
    x, y = jnp.asarray(x), jnp.asarray(y)

    def restore():
        parameters = [(jnp.array(weights[n + "/kernel"]), jnp.array(weights[n + "/bias"])) for n in layer_names(weights)]
        zeros = functools.partial(jax.tree.map, jnp.zeros_like, parameters)
        return jax.block_until_ready((parameters, zeros(), zeros(), jnp.zeros(())))

    def train(state, epoch):
        for _ in range(EPOCHS):
            state, loss = epoch(state)
        return jax.block_until_ready(loss)

    for unroll in (1, 4):
        measure(f"jax_scan_unroll{unroll}", restore, functools.partial(train, epoch=make_epoch(x, y, unroll)), len(x))


main()
