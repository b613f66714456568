"""ONNX Runtime: the forward pass with bound buffers.

Needs: onnx, onnxruntime. Usage: onnx_infer.py as in common.py. The loss it reports is a weighted sum of the outputs, as
in nnc_steps.c.
"""
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from common import CORES, FEWEST_REPEATS, SECONDS, channels_first, load, report, timed

CALLS = 100
ACTIVATIONS = {"relu": "Relu", "softmax": "Softmax"}


def graph(row, input_shape, weights):
    nodes, constants, value = [], [], "x"

    def add(kind, *others, **attributes):
        nonlocal value
        nodes.append(helper.make_node(kind, [value, *others], [f"v{len(nodes)}"], **attributes))
        value = nodes[-1].output[0]

    for layer in row.flat():
        w = [weights[name] for name in layer.weights]
        constants += [numpy_helper.from_array(np.ascontiguousarray(a), name) for a, name in zip(w, layer.weights)]
        if layer.kind == "Dense":
            add("Gemm", *layer.weights)
        elif layer.kind == "Conv2D":
            add("Conv", *layer.weights, strides=[layer.named.get("strides", 1)] * 2)
        elif layer.kind == "MaxPooling2D":
            add("MaxPool", kernel_shape=[layer.args[0]] * 2, strides=[layer.args[0]] * 2)
        elif layer.kind == "Flatten":
            add("Flatten")
        if layer.named.get("activation"):
            add(ACTIVATIONS[layer.named["activation"]])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (row.batch, *shape))
            for name, shape in (("x", input_shape), (value, row.output))]
    model = helper.make_model(helper.make_graph(nodes, row.name, ends[:1], ends[1:], constants),
                              opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString(), value


def main():
    row, x, _, weights = load()
    x, weights = channels_first(row, x[:row.batch], weights)
    model, output_name = graph(row, x.shape[1:], weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = CORES, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    output = np.empty((row.batch, *row.output), "float32")
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    bound = onnxruntime.OrtValue.ortvalue_from_numpy(output)
    binding.bind_ortvalue_output(output_name, bound)
    session.run_with_iobinding(binding)
    first, times = time.monotonic(), []
    flat = bound.numpy().astype("float64").ravel()
    seconds = float(SECONDS)
    while seconds and (len(times) < FEWEST_REPEATS or time.monotonic() < first + seconds):
        times.append(timed(lambda: [session.run_with_iobinding(binding) for _ in range(CALLS)])[0] / CALLS * 1e6)
    report("onnxruntime", first, times, float(flat @ np.arange(1, len(flat) + 1)))


main()
