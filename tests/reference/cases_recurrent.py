"""The cases of recurrent layers, their wrappers, embeddings and masks; fields as in cases.py, and
  ids     the input holds whole numbers below this one
  padded  the steps behind a length, another one for each row, are this number
  shortest  of those lengths; 0 unless said
"""
from cases import case

SEQUENCE = "Input((4, 3))\n"
CELLS = {
    "simple_rnn": ("SimpleRNN", {
        "": "3", "_activation": "3, activation=sigmoid", "_linear": "3, activation=none", "_no_bias": "3, use_bias=false",
        "_regularizer": "3, kernel_regularizer=L2(0.02), recurrent_regularizer=L2(0.03), bias_regularizer=L1(0.01)",
    }),
    "lstm": ("LSTM", {
        "": "3", "_activations": "2, activation=softsign, recurrent_activation=hard_sigmoid", "_no_bias": "3, use_bias=false",
        "_plain_bias": "3, unit_forget_bias=false",
        "_regularizer": "2, recurrent_regularizer=L2(0.03), bias_regularizer=L1(0.01), activity_regularizer=L2(0.05)",
    }),
    "gru": ("GRU", {
        "": "3", "_activations": "2, activation=softsign, recurrent_activation=hard_sigmoid", "_no_bias": "3, use_bias=false",
        "_reset_before": "3, reset_after=false", "_reset_before_no_bias": "3, reset_after=false, use_bias=false",
        "_regularizer": "2, recurrent_regularizer=L2(0.03), bias_regularizer=L1(0.01), activity_regularizer=L2(0.05)",
    }),
}
for _name, (_layer, _variants) in CELLS.items():
    for _suffix, _arguments in _variants.items():
        case(_name + _suffix, f"{SEQUENCE}{_layer}({_arguments})\nDense(2)")
    for _suffix, _arguments in {"": "", "_backwards": ", go_backwards=true"}.items():
        case(f"{_name}_sequences{_suffix}", f"{SEQUENCE}{_layer}(3, return_sequences=true{_arguments})\nDense(2)")
    case(_name + "_backwards", f"{SEQUENCE}{_layer}(3, go_backwards=true)\nDense(2)")
    case(_name + "_stacked", f"{SEQUENCE}{_layer}(3, return_sequences=true)\n{_layer}(2, unroll=true)\nDense(2)", batch=5)
    case(_name + "_one_step", f"Input((1, 3))\n{_layer}(2)\nDense(2)")
    case(_name + "_dropout_inference", f"{SEQUENCE}{_layer}(3, dropout=0.4, recurrent_dropout=0.3)\nDense(2)", train=False)
    for _suffix, _arguments in {"": "", "_backwards": ", go_backwards=true"}.items():
        case(f"{_name}_masked{_suffix}", f"{SEQUENCE}Masking()\n{_layer}(3{_arguments})\nDense(2)", padded=0)
        case(f"{_name}_masked_sequences{_suffix}",
             f"{SEQUENCE}Masking()\n{_layer}(3, return_sequences=true{_arguments})\n{_layer}(2)\nDense(2)", padded=0)

for _mode in ("concat", "sum", "mul", "ave"):
    case("bidirectional_" + _mode, f"{SEQUENCE}Bidirectional(LSTM(2), merge_mode={_mode})\nDense(2)")
    case(f"bidirectional_{_mode}_sequences", f"{SEQUENCE}Bidirectional(GRU(2, return_sequences=true), merge_mode={_mode})\nDense(2)")
    case(f"bidirectional_{_mode}_masked",
         f"{SEQUENCE}Masking()\nBidirectional(LSTM(2, return_sequences=true), merge_mode={_mode})\nDense(2)", padded=0)
case("bidirectional_default", f"{SEQUENCE}Bidirectional(SimpleRNN(2))\nDense(2)")
case("bidirectional_stacked", f"{SEQUENCE}Bidirectional(LSTM(2, return_sequences=true))\nBidirectional(LSTM(2))\nDense(2)")
case("bidirectional_names", f"{SEQUENCE}LSTM(2, return_sequences=true)\nBidirectional(LSTM(2, return_sequences=true, name=\"both\"))\n"
     "Bidirectional(LSTM(2, return_sequences=true))\nLSTM(2)\nDense(2)")
case("bidirectional_backward_layer",
     f"{SEQUENCE}Bidirectional(LSTM(2), backward_layer=GRU(2, go_backwards=true))\nDense(2)")
case("bidirectional_masked", f"{SEQUENCE}Masking()\nBidirectional(GRU(2))\nDense(2)", padded=0)

case("time_distributed", f"{SEQUENCE}TimeDistributed(Dense(4, activation=tanh))\nDense(2)")
case("time_distributed_names", f"{SEQUENCE}Dense(3)\nTimeDistributed(Dense(4, activation=tanh))\nDense(4)\nTimeDistributed(Dense(2))")
case("time_distributed_nested", "Input((2, 3, 2))\nTimeDistributed(TimeDistributed(Dense(3, activation=tanh)))\nDense(2)")
case("time_distributed_image", "Input((3, 4, 4, 1))\nTimeDistributed(Conv2D(2, 3))\nTimeDistributed(Flatten())\nLSTM(2)\nDense(2)")
case("time_distributed_recurrent", "Input((2, 3, 2))\nTimeDistributed(GRU(3))\nSimpleRNN(2)\nDense(2)")
case("time_distributed_reshape", "Input((2, 6))\nTimeDistributed(Reshape((3, 2)))\nTimeDistributed(LSTM(2))\nDense(2)")
case("time_distributed_softmax", f"{SEQUENCE}TimeDistributed(Dense(4, activation=softmax))", "classes",
     "sparse_categorical_crossentropy", metrics="accuracy")
case("time_distributed_masked", f"{SEQUENCE}Masking()\nTimeDistributed(Dense(3))\nLSTM(2)\nDense(2)", padded=0)

case("embedding", "Input(4)\nEmbedding(7, 3)\nFlatten()\nDense(2)", ids=7)
case("embedding_rank3", "Input((2, 3))\nEmbedding(5, 2)\nDense(2)", ids=5)
case("embedding_regularizer", "Input(4)\nEmbedding(6, 3, embeddings_regularizer=L2(0.02))\nLSTM(3)\nDense(2)", ids=6)
case("embedding_mask_zero", "Input(5)\nEmbedding(6, 3, mask_zero=true)\nLSTM(3)\nDense(2)", ids=6, padded=0)
case("embedding_masked_nested", "Input((2, 4))\nEmbedding(6, 3, mask_zero=true)\nTimeDistributed(GRU(2))\nLSTM(3)\nDense(2)", ids=6, padded=0)

# Masks that reach the loss and the metrics, with and without sample weights.
PREDICT = "\nDense(4, activation=softmax)"
for _name, _text, _options in (
    ("lstm", "Input(5)\nEmbedding(6, 3, mask_zero=true)\nLSTM(3, return_sequences=true)", dict(ids=6, padded=0)),
    ("bidirectional", "Input((4, 3))\nMasking()\nBidirectional(GRU(3, return_sequences=true))", dict(padded=0)),
    ("dense", "Input((4, 3))\nMasking(-1)\nDense(4, activation=tanh)\nDropout(0)\nLayerNormalization()", dict(padded=-1)),
):
    case("masked_loss_" + _name, _text + PREDICT, "classes", "sparse_categorical_crossentropy", metrics="accuracy", **_options)
case("masked_loss_mse", "Input((4, 3))\nMasking()\nDense(2)", metrics="mae", padded=0)
case("masked_loss_rank2", "Input(3)\nMasking()\nDense(2)", metrics="mae", padded=0)
case("masked_loss_residual", "Input((4, 3))\nMasking()\nResidual {\nGRU(3, return_sequences=true)\n}\nDense(2)", metrics="mae", padded=0)
case("masked_loss_add", "Input((4, 3))\nMasking()\nAdd {\n{ GRU(3, return_sequences=true) }\n{ Dense(3); Flatten(); Reshape((4, 3)) }\n}\nDense(2)",
     metrics="mae", padded=0)
case("masked_loss_concatenate", "Input((4, 3))\nMasking()\nConcatenate {\n{ GRU(3, return_sequences=true) }\n{ Dense(3) }\n}\nDense(2)",
     metrics="mae", padded=0)
case("masked_loss_concatenate_steps",
     "Input((3, 2))\nMasking()\nConcatenate(axis=1) {\n{ GRU(3, return_sequences=true) }\n{ Dense(3) }\n}\nDense(2)", metrics="mae", padded=0)
case("masked_flatten", "Input((4, 3))\nMasking()\nFlatten()\nDense(2)", metrics="mae", padded=0)

case("network_tagger", "Input(6)\nEmbedding(9, 4, mask_zero=true)\nBidirectional(LSTM(3, return_sequences=true))\n"
     "TimeDistributed(Dense(3, activation=softmax))", "classes", "sparse_categorical_crossentropy", "Adam(learning_rate=0.01)",
     "accuracy", batch=6, ids=9, padded=0)
case("network_characters", "Input(5)\nEmbedding(8, 4)\nLSTM(5, return_sequences=true)\nLSTM(5, return_sequences=true)\n"
     "Dense(8, activation=softmax)", "classes", "sparse_categorical_crossentropy", "Adam(learning_rate=0.01)", "accuracy", batch=6, ids=8)
