"""Reads a small nnc program and builds the Keras model it describes.

Needs: keras. Leaves: Program(models, compile, fit) and build(program) -> a compiled keras.Model whose weights have nnc's names.
It is written apart from nnc's own front end on purpose: the two must agree on what a program means.
"""
import functools
import re

import keras
from keras.src.utils.naming import to_snake_case

import sequence_layers

COMBINATORS = ("Residual", "Repeat", "Concatenate", "Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract")


class Name(str):
    """A bare identifier: a string for Keras, and with arguments an activation function."""

    def __call__(self, **arguments):
        return functools.partial(getattr(keras.activations, self), **arguments)


class Names(dict):
    """What an identifier means inside an argument list; unknown ones are strings."""

    def __init__(self, *modules):
        super().__init__(true=True, false=False, none=None)
        self.modules = modules

    def __missing__(self, key):
        if key[0].isupper():
            for module in self.modules:
                if hasattr(module, key):
                    return getattr(module, key)
        return Name(key)


LAYERS = Names(keras.layers, keras.regularizers, keras.initializers)
LAYERS.update(sequence_layers.LAYERS)
COMPILE = Names(keras.losses, keras.optimizers, keras.optimizers.schedules)
METRICS = Names(keras.metrics)


def matching(text, start):
    """Index just after the bracket that closes the one at text[start]."""
    depth = 0
    for i in range(start, len(text)):
        depth += text[i] in "([{"
        depth -= text[i] in ")]}"
        if depth == 0:
            return i + 1
    raise ValueError("bracket not closed: " + text[start:start + 40])


def items(text):
    """Splits the body of a model into (name, arguments or None, body or None)."""
    result, i = [], 0
    while True:
        i += re.match(r"[\s,;]*", text[i:]).end()
        if i == len(text):
            return result
        name = re.match(r"\w*", text[i:]).group()
        i += len(name)
        arguments = body = None
        if text[i:i + 1] == "(":
            end = matching(text, i)
            arguments, i = text[i + 1:end - 1], end
        rest = i + re.match(r"[ ]*", text[i:]).end()
        if text[rest:rest + 1] == "{":
            end = matching(text, rest)
            body, i = text[rest + 1:end - 1], end
        result.append((name, arguments, body))


def read(text):
    """The blocks of a program: {'model': {name: body}, 'compile': {key: text}, 'fit': {key: text}} and the main model."""
    text = re.sub(r"#.*", "", text)
    program = {"model": {}, "compile": {}, "fit": {}, "main": None}
    for match in re.finditer(r"^(model|compile|fit)\s*(\w*)\s*(?=\{)", text, re.M):
        kind, name = match.groups()
        body = text[match.end() + 1:matching(text, match.end()) - 1]
        if kind == "model":
            program["model"][name] = body
            program["main"] = program["main"] or name
        else:
            program["main"] = name or program["main"]
            program[kind] = dict(line.strip().split(" = ", 1) for line in body.strip().splitlines())
    return program


class Builder:
    """Applies the layers of one model; auto names count from zero in every model."""

    def __init__(self, program):
        self.program, self.counts, self.submodels = program, {}, {}

    def __getitem__(self, key):
        """What an identifier means inside an argument list: layers there take the next automatic name too."""
        value = LAYERS[key]
        return self.named(value) if isinstance(value, type) and issubclass(value, keras.layers.Layer) else value

    def named(self, make):
        def made(*arguments, name=None, **others):
            base = to_snake_case(make.__name__)
            if not name:
                k = self.counts[base] = self.counts.get(base, -1) + 1
                name = f"{base}_{k}" if k else base
            return make(*arguments, name=name, **others)

        return made

    def layer(self, name, arguments):
        return eval(f"make_({arguments or ''})", {}, Scope(self, make_=self[name]))

    def submodel(self, name, shape):
        """A nested model of plain layers; as a Sequential, since only that puts its name before its weights' names."""
        if name not in self.submodels:
            inner = Builder(self.program)
            layers = [inner.layer(kind, arguments) for kind, arguments, _ in items(self.program["model"][name]) if kind != "Input"]
            self.submodels[name] = keras.Sequential([keras.Input(shape), *layers], name=name)
        return self.submodels[name]

    def combinator(self, name, arguments, body, x):
        if name == "Residual":
            return keras.layers.Add()([x, self.body(body, x)])
        if name == "Repeat":
            for _ in range(int(arguments)):
                x = self.body(body, x)
            return x
        merge = eval(f"make_({arguments or ''})", {}, Scope(LAYERS, make_=getattr(keras.layers, name)))
        return merge([self.body(branch, x) for _, _, branch in items(body)])

    def body(self, text, x):
        for name, arguments, body in items(text):
            if name == "Input":
                continue
            if name in COMBINATORS:
                x = self.combinator(name, arguments, body, x)
            elif name in self.program["model"]:
                x = self.submodel(name, x.shape[1:])(x)
            else:
                x = self.layer(name, arguments)(x)
        return x


class Scope(dict):
    """Names for eval: a few given values, then the shared table."""

    def __init__(self, names, **values):
        super().__init__(values)
        self.names = names

    def __missing__(self, key):
        return self.names[key]


def evaluate(text, names):
    return eval(text, {}, Scope(names))


def build(program):
    """The compiled Keras model of the program's main model."""
    text = program["model"][program["main"]]
    shape = next(evaluate(arguments, LAYERS) for name, arguments, _ in items(text) if name == "Input")
    inputs = keras.Input((shape,) if isinstance(shape, int) else tuple(shape))
    model = keras.Model(inputs, Builder(program).body(text, inputs), name=program["main"])
    settings = program["compile"]
    optimizer = evaluate(settings["optimizer"], COMPILE)
    model.compile(optimizer=optimizer, loss=evaluate(settings["loss"], COMPILE),
                  metrics=evaluate(settings.get("metrics", "[]"), METRICS))
    return model
