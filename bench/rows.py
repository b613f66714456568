"""Reads a row's description: rows/NAME.nn is the only place that says what is measured.

Needs: nothing. Leaves a Row: constants, layers with their shapes and weights (named and ordered as in Keras), the
target, and the work of a step. A line of a model is a Python expression whose names stand for themselves.
"""
import math
import os
import pathlib
import re

FOLDER = pathlib.Path(__file__).parent / "rows"
BATCHES, EPOCHS = int(os.environ.get("BENCH_BATCHES", 25)), 4  # of the data set, and of a comparison of losses: 100 steps


class Name(str):
    """relu as it stands; relu(0.1) gives a Call."""

    def __call__(self, *args, **named):
        return Call(self, args, named)


class Call:
    """A layer or a function with arguments. Layers also get name, inputs, output (shapes of one sample) and weights."""

    def __init__(self, kind, args=(), named=None, body=()):
        self.kind, self.args, self.named, self.body = kind, args, named or {}, body
        self.name, self.inputs, self.output, self.weights = "", (), (), {}


class Names(dict):
    def __missing__(self, name):
        return Name(name)


STATISTICS = "moving_mean", "moving_variance"  # weights that no gradient changes


# One function for each layer that a row uses. It takes the input's shape and the layer's arguments and gives the shape of the
# output, the weights, and multiply-adds: those with the input, and those among values that depend on the layer's own weights.
def same(shape, *_, **__):
    return shape, {}, 0, 0


def dense(shape, units, activation=None):
    return (*shape[:-1], units), {"kernel": (shape[-1], units), "bias": (units,)}, math.prod(shape) * units, 0


def conv2d(shape, filters, size, strides=1, padding="valid", activation=None, use_bias=True):
    height, width = (-(-n // strides) if padding == "same" else (n - size) // strides + 1 for n in shape[:2])
    weights = {"kernel": (size, size, shape[2], filters)} | ({"bias": (filters,)} if use_bias else {})
    return (height, width, filters), weights, height * width * size * size * shape[2] * filters, 0


def pooling(shape, size):
    return (shape[0] // size, shape[1] // size, shape[2]), {}, 0, 0


def global_pooling(shape):
    return shape[-1:], {}, 0, 0


def flatten(shape):
    return (math.prod(shape),), {}, 0, 0


def embedding(shape, count, width):
    return (*shape, width), {"embeddings": (count, width)}, 0, 0


def position_embedding(shape, count):
    return shape, {"embeddings": (count, shape[-1])}, 0, 0


def recurrent(cell, gates, biases):
    def layer(shape, units, return_sequences=False):
        steps, features = shape
        weights = {f"{cell}/kernel": (features, gates * units), f"{cell}/recurrent_kernel": (units, gates * units),
                   f"{cell}/bias": (*biases, gates * units)}
        output = (steps, units) if return_sequences else (units,)
        return output, weights, steps * features * gates * units, steps * units * gates * units
    return layer


def normalization(shape):
    return shape, {"gamma": shape[-1:], "beta": shape[-1:]}, 0, 0


def batch_normalization(shape):
    return shape, {part: shape[-1:] for part in ("gamma", "beta", *STATISTICS)}, 0, 0


def attention(shape, heads, size, use_causal_mask=False):
    steps, width = shape
    weights = {}
    for part in ("query", "key", "value"):
        weights |= {f"{part}/kernel": (width, heads, size), f"{part}/bias": (heads, size)}
    weights |= {"attention_output/kernel": (heads, size, width), "attention_output/bias": (width,)}
    inner = heads * size
    return shape, weights, 3 * steps * width * inner, 2 * steps * steps * inner + steps * inner * width


LAYERS = {"Dense": dense, "Conv2D": conv2d, "MaxPooling2D": pooling, "Flatten": flatten, "Dropout": same, "Embedding": embedding,
          "PositionEmbedding": position_embedding, "LSTM": recurrent("lstm_cell", 4, ()), "GRU": recurrent("gru_cell", 3, (2,)),
          "LayerNormalization": normalization, "MultiHeadAttention": attention, "BatchNormalization": batch_normalization, "ReLU": same,
          "GlobalAveragePooling2D": global_pooling}
PLAIN_NAMES = {"Conv2D": "conv2d", "MaxPooling2D": "max_pooling2d", "ReLU": "re_lu",
               "GlobalAveragePooling2D": "global_average_pooling2d", "LSTM": "lstm", "GRU": "gru"}  # Keras', where the rule fails


def parse_constants(arguments):
    """["batch=7"] as a dictionary."""
    return {name: float(value) if {".", "e"} & set(value) else int(value) for name, value in (a.split("=") for a in arguments)}


class Row:
    """constants may take the place of the file's: Row("conv", rate=0)."""

    def __init__(self, name, **constants):
        self.name, self.text = name, (FOLDER / f"{name}.nn").read_text()
        self.names = Names(true=True, false=False)
        for line in re.findall(r"^let (.*)", self.text, re.M):
            key, value = line.split("=", 1)
            self.names[key.strip()] = constants.get(key.strip(), self.value(value))
        lines = iter(re.search(r"^model \w+ \{\n(.*?)^\}", self.text, re.M | re.S)[1].splitlines())
        first, *self.layers = self.block(lines)
        self.input = first.args[0] if isinstance(first.args[0], tuple) else (first.args[0],)
        self.used, shape = {}, self.input
        for layer in self.layers:
            shape = self.shape(layer, shape)
        self.output, self.batch = shape, self.names["batch"]
        self.samples = self.names.get("samples", BATCHES * self.batch)
        self.loss = re.search(r"loss = (\w+)", self.text)[1]
        self.learning_rate = self.names.get("learning_rate", 0.001)
        compared = re.search(r"^# compared with: (.*)", self.text, re.M)
        self.compared = parse_constants(compared[1].split()) if compared else {}  # where it is not as it stands
        self.vocabulary = self.layers[0].args[0] if self.layers[0].kind == "Embedding" else 0

    def value(self, text):
        return eval(text.split("#")[0].strip(), {"__builtins__": {}}, self.names)

    def block(self, lines):
        """The layers up to the brace that closes the block; Repeat is written out."""
        layers = []
        for line in lines:
            line = line.split("#")[0].strip()
            if line == "}":
                break
            if not line.endswith("{"):
                layers += [self.value(line)] if line else []
                continue
            head, inside = self.value(line[:-1]), list(self.inside(lines))
            if head == "Residual":
                layers.append(Call(head, body=self.block(iter(inside))))
            else:
                for _ in range(head.args[0]):
                    layers += self.block(iter(inside))
        return layers

    @staticmethod
    def inside(lines):
        """Lines up to the brace that closes the block which has begun."""
        depth = 1
        for line in lines:
            depth += line.count("{") - line.count("}")
            if depth == 0:
                return
            yield line

    def shape(self, layer, shape):
        layer.inputs = shape
        if layer.body:
            for inner in layer.body:
                shape = self.shape(inner, shape)
            layer.output = shape
            return shape
        plain = PLAIN_NAMES.get(layer.kind) or re.sub(r"(?<!^)(?=[A-Z])", "_", layer.kind).lower()
        count = self.used[plain] = self.used.get(plain, -1) + 1
        layer.name = f"{plain}_{count}" if count else plain
        layer.output, weights, layer.with_input, layer.inside = LAYERS[layer.kind](shape, *layer.args, **layer.named)
        layer.weights = {f"{layer.name}/{part}": size for part, size in weights.items()}
        return layer.output

    def flat(self, layers=None):
        """All layers in order, those of blocks too."""
        for layer in self.layers if layers is None else layers:
            yield from self.flat(layer.body) if layer.body else [layer]

    def weights(self):
        """All of them; statistics too."""
        return {name: size for layer in self.flat() for name, size in layer.weights.items()}

    def learned(self):
        return [name for name in self.weights() if not name.endswith(STATISTICS)]

    def flops(self, training=True):
        """Two per multiply-add that a step needs, per batch. Not counted: the gradient for the data; cells that no pooling
        window reads; products with rows of an embedding, which may be looked up."""
        total, learns, before, needed = 0, False, None, self.needed()
        for layer in self.flat():
            with_input = layer.with_input * needed.get(layer, 1)
            if before is not None and before.kind == "Embedding" and layer.kind in ("LSTM", "GRU"):
                with_input = 0
            total += (with_input * (2 + learns) + layer.inside * 3) if training else with_input + layer.inside
            learns, before = learns or bool(layer.weights), layer
        return 2 * total * self.batch

    def needed(self):
        """Share of the output that is read, for the convolutions."""
        shares, need = {}, None
        for layer in reversed(list(self.flat())):
            size = need or layer.output[:2]
            if layer.kind == "MaxPooling2D":
                need = tuple(n * layer.args[0] for n in size)
            elif layer.kind == "Conv2D":
                shares[layer] = math.prod(size) / math.prod(layer.output[:2])
                need = tuple((n - 1) * layer.named.get("strides", 1) + layer.args[1] for n in size)
            else:
                need = None
        return shares
