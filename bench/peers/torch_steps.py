"""PyTorch with the fused Adam: eager, or with torch.compile around model and loss.

Needs: torch. Usage: torch_steps.py as in common.py; BENCH_COMPILE=1 for torch.compile. Losses stay tensors, so nothing
waits for a number. Adam's epsilon follows Keras' form, which adds it before the bias correction.
"""
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common import CORES, channels_first, load, measure

COMPILE = bool(os.environ.get("BENCH_COMPILE"))
torch.set_num_threads(CORES)


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


class Recurrent(nn.Module):
    def __init__(self, kind, features, units, sequences):
        super().__init__()
        self.cell, self.sequences = kind(features, units, batch_first=True), sequences
        if kind is nn.LSTM:  # Keras' LSTM has one bias
            nn.init.zeros_(self.cell.bias_hh_l0)
            self.cell.bias_hh_l0.requires_grad_(False)

    def forward(self, x):
        y = self.cell(x)[0]
        return y if self.sequences else y[:, -1]


class Positions(nn.Module):
    def __init__(self, count, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, width))

    def forward(self, x):
        return x + self.weight


class Attention(nn.Module):
    def __init__(self, width, heads, size):
        super().__init__()
        self.heads, self.size = heads, size
        self.project, self.out = nn.Linear(width, 3 * heads * size), nn.Linear(heads * size, width)

    def forward(self, x):
        q, k, v = self.project(x).view(*x.shape[:2], 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


# By Keras' name. The last softmax belongs to the loss.
ACTIVATIONS = {None: [], "softmax": [], "relu": [nn.ReLU()], "tanh": [nn.Tanh()]}


def activation(layer):
    """gelu(approximate=true) is the only one with an argument."""
    name = layer.named.get("activation")
    return [nn.GELU(approximate="tanh")] if hasattr(name, "kind") else ACTIVATIONS[name]


def module(layer):
    args, named, inputs = layer.args, layer.named, layer.inputs
    if layer.kind == "Dense":
        return [nn.Linear(inputs[-1], args[0]), *activation(layer)]
    if layer.kind == "Conv2D":
        return [nn.Conv2d(inputs[2], args[0], args[1], named.get("strides", 1)), *activation(layer)]
    if layer.kind in ("GRU", "LSTM"):
        return [Recurrent(getattr(nn, layer.kind), inputs[1], args[0], named.get("return_sequences"))]
    return [{"MaxPooling2D": lambda: nn.MaxPool2d(args[0]), "Flatten": nn.Flatten, "Dropout": lambda: nn.Dropout(args[0]),
             "Embedding": lambda: nn.Embedding(*args), "PositionEmbedding": lambda: Positions(args[0], inputs[-1]),
             "LayerNormalization": lambda: nn.LayerNorm(inputs[-1], eps=1e-3),
             "MultiHeadAttention": lambda: Attention(inputs[-1], *args),
             "Residual": lambda: Residual(sequence(layer.body))}[layer.kind]()]


def sequence(layers):
    return nn.Sequential(*(m for layer in layers for m in module(layer)))


def parameters(row, weights):
    """Keras' weights in PyTorch's order and layout."""
    for layer in row.flat():
        w = [weights[name] for name in layer.weights]
        if layer.kind == "Dense":
            w[0] = w[0].T
        elif layer.kind == "LSTM":
            w = [w[0].T, w[1].T, w[2]]
        elif layer.kind == "GRU":  # z, r, h becomes r, z, h
            w = [np.concatenate([np.split(a, 3, -1)[i] for i in (1, 0, 2)], -1) for a in w]
            w = [w[0].T, w[1].T, *w[2]]
        elif layer.kind == "MultiHeadAttention":
            kernels, biases, width = w[0:6:2], w[1:6:2], w[0].shape[0]
            w = [np.concatenate([k.reshape(width, -1) for k in kernels], 1).T, np.concatenate([b.ravel() for b in biases]),
                 w[6].reshape(-1, width).T, w[7]]
        yield from w


def main():
    row, x, y, weights = load()
    x, weights = channels_first(row, x, weights)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    if row.loss == "categorical_crossentropy":
        y = y.argmax(-1)
    y = y if row.loss == "mean_squared_error" else y.long()
    model = sequence(row.layers)
    if COMPILE and len(row.input) == 3:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    batches = list(zip(x.split(row.batch), y.split(row.batch)))
    learned = [p for p in model.parameters() if p.requires_grad]
    start = [torch.from_numpy(np.ascontiguousarray(w)) for w in parameters(row, weights)]

    def loss_of(x, y):
        output = model(x)
        return F.mse_loss(output, y) if row.loss == "mean_squared_error" else F.cross_entropy(output.flatten(0, -2), y.flatten())

    if COMPILE:
        loss_of = torch.compile(loss_of)

    def restore():
        with torch.no_grad():
            for p, value in zip(learned, start, strict=True):
                p.copy_(value)
        return torch.optim.Adam(learned, lr=row.learning_rate, fused=True)

    def train(optimizer, epochs):
        step = 0
        for _ in range(epochs):
            total = torch.zeros(())
            for batch_x, batch_y in batches:
                step += 1
                optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**step) ** 0.5
                optimizer.zero_grad(set_to_none=True)
                loss = loss_of(batch_x, batch_y)
                loss.backward()
                optimizer.step()
                total += loss.detach()
        return (total / len(batches)).item()

    measure("torch_compile" if COMPILE else "torch_eager", restore, train)


main()
