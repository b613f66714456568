"""PyTorch with the fused Adam: eager, with torch.compile around model and loss, or a step as a CUDA graph.

Needs: torch. Usage: torch_steps.py as in common.py; BENCH_FORM is eager, compile or graph (on the processor: the step of the
graph, called). Losses stay tensors, so nothing waits for a number. Adam's epsilon follows Keras' form, which adds it
before the bias correction.
"""
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from common import CORES, DEVICE, PRECISION, channels_first, load, measure

FORM = os.environ.get("BENCH_FORM", "eager")
COMPILE, CUDA = FORM == "compile", DEVICE == "cuda"
torch.set_num_threads(CORES)
torch.set_float32_matmul_precision("high" if PRECISION == "tf32" else "highest")
torch.backends.cudnn.allow_tf32 = PRECISION == "tf32"  # it is on by default


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


def convolution(layer):
    """Keras' same padding is larger behind than before where the stride does not fit."""
    named, (height, _, channels), (filters, size) = layer.named, layer.inputs, layer.args
    strides, bias = named.get("strides", 1), named.get("use_bias", True)
    padding = max((layer.output[0] - 1) * strides + size - height, 0) if named.get("padding") == "same" else 0
    before, behind = padding // 2, padding - padding // 2
    pad = [nn.ZeroPad2d((before, behind) * 2)] if before != behind else []
    return [*pad, nn.Conv2d(channels, filters, size, strides, 0 if pad else before, bias=bias), *activation(layer)]


def module(layer):
    args, named, inputs = layer.args, layer.named, layer.inputs
    if layer.kind == "Dense":
        return [nn.Linear(inputs[-1], args[0]), *activation(layer)]
    if layer.kind == "Conv2D":
        return convolution(layer)
    if layer.kind in ("GRU", "LSTM"):
        return [Recurrent(getattr(nn, layer.kind), inputs[1], args[0], named.get("return_sequences"))]
    if layer.kind == "GlobalAveragePooling2D":
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return [{"MaxPooling2D": lambda: nn.MaxPool2d(args[0]), "Flatten": nn.Flatten, "Dropout": lambda: nn.Dropout(args[0]),
             "Embedding": lambda: nn.Embedding(*args), "PositionEmbedding": lambda: Positions(args[0], inputs[-1]),
             "BatchNormalization": lambda: nn.BatchNorm2d(inputs[-1], eps=1e-3, momentum=0.01), "ReLU": nn.ReLU,
             "LayerNormalization": lambda: nn.LayerNorm(inputs[-1], eps=1e-3),
             "MultiHeadAttention": lambda: Attention(inputs[-1], *args),
             "Residual": lambda: Residual(sequence(layer.body))}[layer.kind]()]


def sequence(layers):
    return nn.Sequential(*(m for layer in layers for m in module(layer)))


def parameters(row, weights):
    """Keras' weights in PyTorch's order and layout."""
    learned = set(row.learned())
    for layer in row.flat():
        w = [weights[name] for name in layer.weights if name in learned]
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


def tensor(value):
    return torch.from_numpy(np.ascontiguousarray(value)).to(DEVICE)


def zero():
    return torch.zeros((), device=DEVICE)


def samples(row, x, y):
    """x and y on the device, batch by batch."""
    x, y = tensor(x), tensor(y)
    if row.loss == "categorical_crossentropy":
        y = y.argmax(-1)
    y = y if row.loss == "mean_squared_error" else y.long()
    if COMPILE and len(row.input) == 3:
        x = x.contiguous(memory_format=torch.channels_last)
    return list(zip(x.split(row.batch), y.split(row.batch)))


def loss_function(row, model):
    def loss_of(x, y):
        with torch.autocast(DEVICE, torch.bfloat16, enabled=PRECISION == "mixed_bfloat16"):
            output = model(x)
        output = output.float()
        return F.mse_loss(output, y) if row.loss == "mean_squared_error" else F.cross_entropy(output.flatten(0, -2), y.flatten())

    return torch.compile(loss_of, mode="max-autotune" if CUDA else None) if COMPILE else loss_of


class Graph:
    """A step as a CUDA graph that reads its batch from a fixed place and adds its loss to `total`."""
    pool = None

    def __init__(self, step, x, y):
        self.x, self.y, self.total, self.graph = x.clone(), y.clone(), zero(), None
        if CUDA:
            Graph.pool = Graph.pool or torch.cuda.graph_pool_handle()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, pool=Graph.pool):
                self.total += step(self.x, self.y)
        self.replay = self.graph.replay if CUDA else lambda: self.total.add_(step(self.x, self.y))

    def run(self, x, y):
        self.x.copy_(x)
        self.y.copy_(y)
        self.replay()


def warm_up(step, batch):
    """What a recording must not do: the first calls of libraries, on a stream of their own."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(*batch)
    torch.cuda.current_stream().wait_stream(stream)


def launches(action):
    """Kernels and copies that the device is given, as PyTorch's profiler sees them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        action()
        torch.cuda.synchronize()
    return sum(e.device_type == torch.autograd.DeviceType.CUDA and not getattr(e, "is_user_annotation", False)
               for e in profile.events())


class Trainer:
    def __init__(self, row, x, y, weights):
        x, weights = channels_first(row, x, weights)
        model = sequence(row.layers).to(DEVICE)
        if COMPILE and len(row.input) == 3:
            model = model.to(memory_format=torch.channels_last)
        self.batches, self.loss_of, self.recorded = samples(row, x, y), loss_function(row, model), None
        self.learned = [p for p in model.parameters() if p.requires_grad]
        self.start = [tensor(w) for w in parameters(row, weights)]
        self.optimizer = torch.optim.Adam(self.learned, lr=row.learning_rate, fused=True, capturable=CUDA and FORM == "graph")
        if CUDA and FORM == "graph":
            warm_up(self.step, self.batches[0])

    def restore(self):
        """Initial weights, fresh optimizer; all at the same addresses, which a graph keeps."""
        with torch.no_grad():
            for p, value in zip(self.learned, self.start, strict=True):
                p.copy_(value)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def step(self, x, y):
        if COMPILE and CUDA:
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def keras_epsilon(self, number):
        self.optimizer.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**number) ** 0.5

    def train(self, _, epochs):
        for epoch in range(epochs):
            total = zero()
            for i, (x, y) in enumerate(self.batches, 1):
                self.keras_epsilon(epoch * len(self.batches) + i)
                if FORM == "graph":  # epsilon is a constant of a graph, so that each step has one of its own
                    recorded = Graph(self.step, x, y)
                    recorded.run(x, y)
                    total += recorded.total
                else:
                    total += self.step(x, y)
        return (total / len(self.batches)).item()

    def train_recorded(self, _, epochs):
        """For the clock: one graph for all steps, as one writes it."""
        self.optimizer.param_groups[0]["eps"] = 1e-7
        self.recorded = self.recorded or Graph(self.step, *self.batches[0])
        for _ in range(epochs):
            self.recorded.total.zero_()
            for x, y in self.batches:
                self.recorded.run(x, y)
        return (self.recorded.total / len(self.batches)).item()


def main():
    trainer = Trainer(*load())
    fast = trainer.train_recorded if FORM == "graph" else None
    measure(f"torch_{FORM}", trainer.restore, trainer.train, fast, fast, launches)


main()
