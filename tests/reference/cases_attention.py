"""The cases of attention, normalisation by root mean square, positions, and layers over sequences; fields as in cases.py."""
from cases import SLOW, case

SEQUENCE = "Input((7, 3))\nConv1D(4, 1)\n"
HEAD = "\nFlatten()\nDense(2)"

# The biases of the keys cannot matter to a softmax over the keys: where a case trains, they are left out. Keras' fused form on
# JAX cannot have a value_dim of its own; a dropout that drops nothing keeps it from being used.
for _name, _arguments in {
    "": "num_heads=2, key_dim=3, use_bias=false",
    "_causal": "2, 3, use_bias=false, use_causal_mask=true",
    "_value_dim": "3, 2, value_dim=4, dropout=1e-9, use_bias=false, use_causal_mask=true",
    "_output_shape": "2, 3, output_shape=5, use_bias=false",
    "_output_axes": "2, 3, output_shape=(2, 3), use_bias=false, use_causal_mask=true",
    "_gate": "2, 3, use_gate=true, use_bias=false",
    "_window": "2, 3, sliding_window=2, use_bias=false",
    "_window_causal": "2, 3, sliding_window=3, use_bias=false, use_causal_mask=true",
    "_one_head": "1, 8, use_bias=false",
    "_regularizer": "2, 3, use_bias=false, kernel_regularizer=L2(0.02), activity_regularizer=L2(0.03)",
}.items():
    case("multi_head_attention" + _name, f"Input((6, 5))\nDense(4)\nMultiHeadAttention({_arguments}){HEAD}", optimizer=SLOW)
case("multi_head_attention_bias", f"Input((6, 5))\nDense(4)\nMultiHeadAttention(2, 3, use_causal_mask=true){HEAD}", train=False)
case("multi_head_attention_dropout_inference",
     f"Input((6, 5))\nDense(4)\nMultiHeadAttention(2, 3, dropout=0.4, use_causal_mask=true){HEAD}", train=False)

MASKED = "Input((5, 3))\nMasking()\nDense(4)\n"
for _name, _arguments in {"": "2, 3, use_bias=false", "_causal": "2, 3, use_bias=false, use_causal_mask=true"}.items():
    case("multi_head_attention_masked" + _name, f"{MASKED}MultiHeadAttention({_arguments})\nDense(2)", padded=0)
    case(f"multi_head_attention_masked{_name}_dropped", f"{MASKED}MultiHeadAttention({_arguments}){HEAD}", padded=0)
case("multi_head_attention_masked_dropout", f"{MASKED}MultiHeadAttention(2, 3, dropout=0.4, use_causal_mask=true){HEAD}",
     train=False, padded=0)
case("layer_normalization_masked", f"{MASKED}LayerNormalization()\nLSTM(2)\nDense(2)", padded=0)
case("batch_normalization_masked",
     "Input((5, 3))\nMasking()\nDense(4, use_bias=false)\nBatchNormalization(momentum=0.8)\nLSTM(2)\nDense(2)", padded=0)
case("position_embedding_masked", f"{MASKED}PositionEmbedding(5)\nLSTM(2)\nDense(2)", padded=0)
case("global_average_pooling1d_masked", f"{MASKED}GlobalAveragePooling1D()\nDense(2)", padded=0, shortest=1)

for _name, _arguments in {"": "", "_epsilon": "epsilon=0.2", "_axes": "axis=(1, 2)"}.items():
    case("rms_normalization" + _name, f"Input((3, 5))\nDense(4)\nRMSNormalization({_arguments})\nDense(2)")
case("rms_normalization_rank2", "Input(5)\nDense(7)\nRMSNormalization()\nDense(3)")
case("position_embedding", f"Input((6, 3))\nDense(4)\nPositionEmbedding(6)\nDense(5, activation=tanh){HEAD}")
case("position_embedding_longer", f"Input((6, 3))\nDense(4)\nPositionEmbedding(9)\nDense(5, activation=tanh){HEAD}")

for _name, _arguments in {
    "valid": "3", "same": "3, padding=same", "causal": "3, padding=causal", "strides": "2, strides=2",
    "strides_same": "3, strides=2, padding=same", "strides_causal": "3, strides=2, padding=causal",
    "dilation": "2, dilation_rate=3", "dilation_same": "3, dilation_rate=2, padding=same",
    "dilation_causal": "3, dilation_rate=2, padding=causal", "no_bias": "4, use_bias=false", "activation": "3, activation=relu",
}.items():
    case("conv1d_" + _name, f"{SEQUENCE}Conv1D(5, {_arguments}){HEAD}", optimizer=SLOW)
for _layer, _short in (("MaxPooling1D", "max_pooling1d"), ("AveragePooling1D", "average_pooling1d")):
    for _name, _arguments in {
        "valid": "2", "same": "2, padding=same", "overlap": "3, strides=2", "overlap_same": "3, strides=2, padding=same",
        "gap": "2, strides=3", "stride_one_same": "3, strides=1, padding=same",
    }.items():
        case(f"{_short}_{_name}", f"{SEQUENCE}{_layer}({_arguments}){HEAD}", optimizer=SLOW)
case("max_pooling1d_default", f"{SEQUENCE}MaxPooling1D(){HEAD}", optimizer=SLOW)
for _layer, _short in (("Average", "average"), ("Max", "max")):
    case(f"global_{_short}_pooling1d", f"{SEQUENCE}Global{_layer}Pooling1D()\nDense(3)")
    case(f"global_{_short}_pooling1d_keepdims", f"{SEQUENCE}Global{_layer}Pooling1D(keepdims=true){HEAD}")
case("global_max_pooling2d", "Input((6, 7, 2))\nConv2D(3, (1, 1))\nGlobalMaxPooling2D()\nDense(3)")
case("global_max_pooling2d_keepdims", f"Input((6, 7, 2))\nConv2D(3, (1, 1))\nGlobalMaxPooling2D(keepdims=true){HEAD}")

for _name, _arguments in {"": "", "_pair": "(2, 1)", "_before": "(3, 0)"}.items():
    case("zero_padding1d" + _name, f"{SEQUENCE}ZeroPadding1D({_arguments})\nConv1D(2, 3){HEAD}", optimizer=SLOW)
    case("cropping1d" + _name, f"{SEQUENCE}Cropping1D({_arguments})\nConv1D(2, 3){HEAD}", optimizer=SLOW)
for _name, _arguments in {"": "", "_three": "3"}.items():
    case("up_sampling1d" + _name, f"{SEQUENCE}UpSampling1D({_arguments})\nConv1D(2, 3){HEAD}", optimizer=SLOW)

# Whole networks --------------------------------------------------------------------------------------------------------------
case("network_attention", """Input((8, 5))
Dense(12)
PositionEmbedding(8)
Repeat(2) {
    Residual {
        LayerNormalization()
        MultiHeadAttention(3, 4, use_causal_mask=true, use_bias=false)
    }
    Residual {
        LayerNormalization()
        Dense(24, activation=gelu)
        Dense(12)
    }
}
LayerNormalization()
Dense(7)""", "classes", "SparseCategoricalCrossentropy(from_logits=true)", "Adam(learning_rate=0.01, epsilon=0.001)", "accuracy")
case("network_sequence_convolution", """Input((20, 3))
Conv1D(6, 3, padding=causal, activation=relu)
MaxPooling1D(2)
Conv1D(8, 3, padding=causal, dilation_rate=2, activation=relu)
GlobalAveragePooling1D()
Dense(4, activation=softmax)""", "classes", "sparse_categorical_crossentropy", "Adam(learning_rate=0.01, epsilon=0.001)",
     "accuracy", batch=6)
