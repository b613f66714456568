"""The table of fixture cases: one fact a case.

A layer whose bias cannot matter (before a batch normalisation, before a softmax over the other axis) has none here: its gradient
would be rounding noise.

Each case is written as an nnc program in short form; program() makes the whole text of it. Fields of a case:
  body       the layers of model `net`
  target     how y is made: real (shape of the output), binary, one_hot, classes, classes_column
  loss, optimizer, metrics     what the compile block holds
  batch, rows                  batch size and number of rows (5 batches unless said)
  options: weights (give sample weights), fit (more lines of the fit block), models (text put before), train=False (inference
  only), wide (pre-activations from -6 to 6 and some beyond), scale (of all kernels), seed
"""
SGD, SLOW = "SGD(learning_rate=0.05)", "SGD(learning_rate=0.01)"
CASES = {}


def case(name, body, target="real", loss="mean_squared_error", optimizer=SGD, metrics=None, batch=4, **options):
    assert name not in CASES, name
    lines = body.splitlines()
    CASES[name] = dict(lines=lines, target=target, loss=loss, optimizer=optimizer, metrics=metrics, batch=batch,
                       rows=options.pop("rows", 5 * batch), **options)


def program(entry):
    """The text of a case's .nn file."""
    name = entry.get("title", "net")
    compile_lines = [f"loss = {entry['loss']}", f"optimizer = {entry['optimizer']}"]
    if entry["metrics"]:
        compile_lines.append(f"metrics = [{entry['metrics']}]")
    fit_lines = [f"batch_size = {entry['batch']}"] + entry.get("fit", [])
    several = f" {name}" if entry.get("models") else ""

    def block(head, lines):
        return head + " {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"

    return "\n".join(([entry["models"].strip() + "\n"] if several else []) +
                     [block(f"model {name}", entry["lines"]), block("compile" + several, compile_lines),
                      block("fit" + several, fit_lines)])


# Layers ---------------------------------------------------------------------------------------------------------------
case("dense", "Input(5)\nDense(3)")
case("dense_no_bias", "Input(5)\nDense(7, activation=tanh, use_bias=false)\nDense(3, use_bias=false)")
case("dense_rank3", "Input((3, 5))\nDense(4, activation=tanh)\nDense(3)")
case("dense_wide_panels", "Input(9)\nDense(37, activation=relu)\nDense(19, activation=tanh)\nDense(3)", batch=6)

IMAGE = "Input((6, 7, 2))\nConv2D(3, (1, 1))\n"
HEAD = "\nFlatten()\nDense(3)"
for _name, _arguments in {
    "valid": "(3, 3)",
    "same": "(3, 3), padding=same",
    "int_arguments": "3, strides=2",
    "strides_same": "(3, 3), strides=(2, 2), padding=same",
    "strides_rectangular": "(2, 3), strides=(2, 1)",
    "dilation_valid": "(2, 2), dilation_rate=2",
    "dilation_same": "(3, 2), dilation_rate=(1, 2), padding=same",
    "no_bias": "(3, 3), use_bias=false",
    "rectangular": "(2, 3)",
    "rectangular_same": "(4, 1), padding=same",
    "activation": "(3, 3), activation=relu",
}.items():
    case("conv2d_" + _name, f"{IMAGE}Conv2D(4, {_arguments}){HEAD}", optimizer=SLOW)
for _name, _text in {
    "conv2d_groups": "Conv2D(6, (2, 3), groups=3, strides=2, padding=same)",
    "conv2d_transpose": "Conv2DTranspose(2, (3, 2))", "conv2d_transpose_strides": "Conv2DTranspose(2, (2, 3), strides=(3, 2))",
    "conv2d_transpose_same": "Conv2DTranspose(2, (3, 4), strides=2, padding=same)",
    "conv2d_transpose_small_window": "Conv2DTranspose(2, (1, 2), strides=(2, 3), padding=same)",
    "conv2d_transpose_dilation": "Conv2DTranspose(2, 2, dilation_rate=(2, 3), padding=same, use_bias=false)",
    "conv2d_transpose_output_padding": "Conv2DTranspose(2, 3, strides=(2, 3), padding=same, output_padding=(1, 2))",
    "conv2d_transpose_output_padding_valid": "Conv2DTranspose(2, (2, 4), strides=3, output_padding=(2, 0))",
    "depthwise_conv2d": "DepthwiseConv2D((2, 3), depthwise_regularizer=L2(0.02))",
    "depthwise_conv2d_multiplier": "DepthwiseConv2D(3, strides=2, padding=same, depth_multiplier=2, activation=tanh)",
    "depthwise_conv2d_dilation": "DepthwiseConv2D(2, dilation_rate=(1, 2), padding=same, use_bias=false)",
    "separable_conv2d": "SeparableConv2D(4, (3, 2), padding=same, depth_multiplier=2, pointwise_regularizer=L1(0.01))",
    "separable_conv2d_strides": "SeparableConv2D(2, 2, strides=2, activation=relu)",
}.items():
    case(_name, f"Input((4, 5, 2))\nConv2D(3, (1, 1))\n{_text}{HEAD}", optimizer=SLOW)
for _name, _text in {
    "conv1d_groups": "Conv1D(4, 3, groups=2, padding=causal)", "conv1d_transpose": "Conv1DTranspose(3, 3, strides=2, padding=same)",
    "depthwise_conv1d": "DepthwiseConv1D(3, padding=same, dilation_rate=2)",
    "separable_conv1d": "SeparableConv1D(3, 2, padding=same, depth_multiplier=2)",
}.items():
    case(_name, f"Input((6, 3))\nConv1D(4, 1)\n{_text}{HEAD}", optimizer=SLOW)
for _layer, _short in (("MaxPooling2D", "max_pooling2d"), ("AveragePooling2D", "average_pooling2d")):
    for _name, _arguments in {
        "valid": "(2, 2)",
        "same": "(2, 2), padding=same",
        "int_arguments": "2, strides=1",
        "overlap": "(3, 3), strides=(2, 2)",
        "overlap_same": "(3, 3), strides=(2, 2), padding=same",
        "rectangular": "(2, 3), strides=(1, 2)",
        "gap": "(2, 2), strides=(3, 3)",
        "stride_one_same": "(3, 2), strides=1, padding=same",
    }.items():
        case(f"{_short}_{_name}", f"{IMAGE}{_layer}({_arguments}){HEAD}", optimizer=SLOW)
case("max_pooling2d_default", f"{IMAGE}MaxPooling2D(){HEAD}", optimizer=SLOW)
case("global_average_pooling2d", f"{IMAGE}GlobalAveragePooling2D()\nDense(3)")
case("global_average_pooling2d_keepdims", f"{IMAGE}GlobalAveragePooling2D(keepdims=true)\nFlatten()\nDense(3)")
case("permute", "Input((3, 2, 4))\nDense(3, activation=tanh)\nPermute((3, 1, 2))\nDense(2)")
case("repeat_vector", "Input(5)\nDense(4, activation=tanh)\nRepeatVector(3)\nLSTM(2)\nDense(2)")
for _name, _arguments in {"": "1", "_pair": "(0, 1)", "_sides": "((1, 0), (2, 1))"}.items():
    case("zero_padding2d" + _name, f"{IMAGE}ZeroPadding2D({_arguments})\nConv2D(2, 3){HEAD}", optimizer=SLOW)
    case("cropping2d" + _name, f"{IMAGE}Cropping2D({_arguments})\nConv2D(2, 3){HEAD}", optimizer=SLOW)
for _name, _arguments in {"": "", "_pair": "(1, 3)"}.items():
    case("up_sampling2d" + _name, f"Input((3, 2, 2))\nConv2D(3, 1)\nUpSampling2D({_arguments})\nConv2D(2, 2){HEAD}", optimizer=SLOW)
case("spatial_dropout_inference", f"{IMAGE}SpatialDropout2D(0.5)\nReshape((6, 21))\nSpatialDropout1D(0.3){HEAD}", train=False)
case("flatten", "Input((3, 2, 4))\nDense(3, activation=tanh)\nFlatten()\nDense(2)")
case("reshape", "Input(12)\nDense(12, activation=tanh)\nReshape((3, 4))\nDense(2)\nFlatten()\nDense(3)")
case("reshape_inferred", "Input((6, 4))\nDense(4, activation=tanh)\nReshape((-1, 3))\nDense(2)\nReshape((16,))\nDense(3)")
case("reshape_to_image", "Input(24)\nDense(24)\nReshape((3, 4, 2))\nConv2D(3, 2)\nFlatten()\nDense(2)")

for _name, _arguments in {
    "": "", "_no_center": "center=false", "_no_scale": "scale=false", "_plain": "center=false, scale=false",
    "_momentum": "momentum=0.6", "_epsilon": "epsilon=0.2",
}.items():
    case("batch_normalization" + _name, f"Input(5)\nDense(6, use_bias=false)\nBatchNormalization({_arguments})\nDense(3)", batch=6)
case("batch_normalization_rank4", f"Input((6, 7, 2))\nConv2D(3, (1, 1), use_bias=false)\nBatchNormalization(momentum=0.8)\nActivation(relu){HEAD}", optimizer=SLOW)
case("batch_normalization_first", "Input(5)\nBatchNormalization(momentum=0.9)\nDense(3)", batch=6)
for _name, _arguments in {
    "": "", "_no_center": "center=false", "_no_scale": "scale=false", "_plain": "center=false, scale=false",
    "_epsilon": "epsilon=0.2",
}.items():
    case("layer_normalization" + _name, f"Input(5)\nDense(7)\nLayerNormalization({_arguments})\nDense(3)")
case("layer_normalization_rank3", "Input((3, 5))\nDense(6)\nLayerNormalization()\nDense(2)")
case("softmax_layer", "Input(5)\nDense(6)\nSoftmax()\nDense(3)")
case("softmax_layer_axis", "Input((4, 5))\nDense(3, use_bias=false)\nSoftmax(axis=1)\nDense(2)")
case("dropout_rate_zero", "Input(5)\nDense(6, activation=tanh)\nDropout(0)\nDense(3)")
case("dropout_inference", "Input(5)\nDense(6, activation=tanh)\nDropout(0.5)\nDense(3)", train=False)
case("relu_layer", "Input(5)\nDense(8)\nReLU(max_value=1.5, negative_slope=0.1, threshold=0.25)\nDense(3)")
case("leaky_relu_layer", "Input(5)\nDense(8)\nLeakyReLU()\nDense(8)\nLeakyReLU(negative_slope=0.1)\nDense(3)")
case("elu_layer", "Input(5)\nDense(8)\nELU(alpha=0.7)\nDense(3)")

# Activations: as an argument of Dense and as a layer, over a wide range ----------------------------------------------------
for _name, _text in {
    "linear": "linear", "relu": "relu", "relu6": "relu6", "leaky_relu": "leaky_relu", "elu": "elu", "selu": "selu",
    "leaky_relu_slope": "leaky_relu(negative_slope=0.05)", "elu_alpha": "elu(alpha=0.5)",
    "gelu": "gelu", "gelu_approximate": "gelu(approximate=true)", "sigmoid": "sigmoid", "hard_sigmoid": "hard_sigmoid",
    "tanh": "tanh", "softplus": "softplus", "softsign": "softsign", "silu": "silu", "swish": "swish", "mish": "mish",
    "exponential": "exponential", "softmax": "softmax",
}.items():
    case("activation_" + _name,
         f"Input(6)\nDense(12, activation={_text})\nDense(7)\nActivation({_text})\nDense(3)", wide=_name not in ("exponential", "softmax"),
         scale=0.3 if _name == "exponential" else 1.0,
         optimizer="SGD(learning_rate=0.001)")

# Losses, without and with sample weights ----------------------------------------------------------------------------------
LOGITS = "Input(5)\nDense(8, activation=tanh)\nDense({n})"
PROBABILITIES = "Input(5)\nDense(8, activation=tanh)\nDense({n}, activation={f})"


def losses(name, loss, target, body, **options):
    case(f"loss_{name}", body, target, loss, **options)
    case(f"loss_{name}_weighted", body, target, loss, weights=True, **options)


def logits(n):
    return LOGITS.format(n=n)


def probabilities(n, f):
    return PROBABILITIES.format(n=n, f=f)


losses("mean_squared_error", "mean_squared_error", "real", logits(3))
losses("mean_absolute_error", "mean_absolute_error", "real", logits(3))
losses("huber", "Huber()", "real", logits(3))
losses("huber_delta", "Huber(delta=0.4)", "real", logits(3))
for _name, _loss in {"log_cosh": "LogCosh()", "cosine_similarity": "cosine_similarity"}.items():
    case("loss_" + _name, logits(3), loss=_loss, weights=_name == "log_cosh")
case("loss_mean_absolute_percentage_error", logits(3), loss="mape", optimizer="SGD(learning_rate=0.0001)")
case("loss_cosine_similarity_axis", "Input((3, 5))\nDense(4)", loss="CosineSimilarity(axis=1)")
case("loss_mean_squared_logarithmic_error", probabilities(3, "softplus"), "distribution", "msle")
case("loss_kl_divergence", probabilities(3, "softmax"), "distribution", "kl_divergence", metrics="KLDivergence()")
case("loss_poisson", probabilities(3, "softplus"), "distribution", "poisson", metrics="Poisson(), msle")
for _name in ("sum", "mean", "mean_with_sample_weight"):
    losses("reduction_" + _name, f"MeanSquaredError(reduction={_name})", "real", logits(3), optimizer=SLOW)
    case(f"loss_reduction_{_name}_masked", "Input((4, 3))\nMasking()\nDense(2)", loss=f"MeanSquaredError(reduction={_name})", optimizer=SLOW, padded=0)
case("loss_mse_rank3", "Input((3, 5))\nDense(2)")
case("loss_mse_alias", logits(2), loss="mse")
case("loss_mae_alias", logits(2), loss="mae")
losses("binary_crossentropy", "binary_crossentropy", "binary", probabilities(1, "sigmoid"))
losses("binary_crossentropy_from_logits", "BinaryCrossentropy(from_logits=true)", "binary", logits(1))
losses("binary_crossentropy_smoothing", "BinaryCrossentropy(label_smoothing=0.2)", "binary", probabilities(1, "sigmoid"))
losses("binary_crossentropy_logits_smoothing", "BinaryCrossentropy(from_logits=true, label_smoothing=0.1)", "binary", logits(1))
losses("binary_crossentropy_multilabel", "binary_crossentropy", "binary", probabilities(4, "sigmoid"))
case("loss_binary_crossentropy_probabilities", probabilities(2, "hard_sigmoid"), "binary", "binary_crossentropy")
case("loss_binary_crossentropy_layer", logits(1) + "\nActivation(sigmoid)", "binary", "bce")
case("loss_binary_crossentropy_target_rank1", probabilities(1, "sigmoid"), "binary_flat", "binary_crossentropy")
losses("categorical_crossentropy", "categorical_crossentropy", "one_hot", probabilities(4, "softmax"))
losses("categorical_crossentropy_from_logits", "CategoricalCrossentropy(from_logits=true)", "one_hot", logits(4))
losses("categorical_crossentropy_smoothing", "CategoricalCrossentropy(label_smoothing=0.2)", "one_hot", probabilities(4, "softmax"))
losses("categorical_crossentropy_logits_smoothing", "CategoricalCrossentropy(from_logits=true, label_smoothing=0.1)", "one_hot",
       logits(4))
case("loss_categorical_crossentropy_probabilities", probabilities(4, "softplus"), "one_hot", "categorical_crossentropy")
case("loss_categorical_crossentropy_layer", logits(4) + "\nActivation(softmax)", "one_hot", "categorical_crossentropy")
case("loss_categorical_crossentropy_softmax_layer", logits(4) + "\nSoftmax()", "one_hot", "categorical_crossentropy")
case("loss_categorical_crossentropy_soft_targets", probabilities(4, "softmax"), "distribution", "categorical_crossentropy")
losses("sparse_categorical_crossentropy", "sparse_categorical_crossentropy", "classes", probabilities(4, "softmax"))
losses("sparse_categorical_crossentropy_from_logits", "SparseCategoricalCrossentropy(from_logits=true)", "classes", logits(4))
case("loss_sparse_categorical_crossentropy_column", probabilities(4, "softmax"), "classes_column", "sparse_categorical_crossentropy")
case("loss_sparse_categorical_crossentropy_probabilities", probabilities(4, "hard_sigmoid"), "classes",
     "sparse_categorical_crossentropy")
case("loss_sparse_categorical_crossentropy_rank3", "Input((3, 5))\nDense(4, activation=softmax)", "classes",
     "sparse_categorical_crossentropy")

# Regularizers -----------------------------------------------------------------------------------------------------------------
for _name, _arguments in {
    "l1": "kernel_regularizer=L1(0.02)", "l2": "kernel_regularizer=L2(0.03)", "l1l2": "kernel_regularizer=L1L2(l1=0.01, l2=0.02)",
    "bias": "bias_regularizer=L2(0.05)", "both": "kernel_regularizer=L1(0.01), bias_regularizer=L1L2(l1=0.02, l2=0.03)",
    "string": "kernel_regularizer=l2, bias_regularizer=l1",
}.items():
    case("regularizer_" + _name, f"Input(5)\nDense(6, activation=tanh, {_arguments})\nDense(3, kernel_regularizer=L2(0.02))")
case("regularizer_conv2d", f"Input((4, 5, 2))\nConv2D(3, (2, 2), kernel_regularizer=L2(0.03), bias_regularizer=L1(0.02)){HEAD}", optimizer=SLOW)
case("regularizer_weighted", "Input(5)\nDense(3, kernel_regularizer=L2(0.05))", weights=True)

# Optimizers and schedules ---------------------------------------------------------------------------------------------------
NET = "Input(6)\nDense(8, activation=tanh)\nDense(3)"
for _name, _optimizer in {
    "sgd": "SGD()", "sgd_momentum": "SGD(learning_rate=0.05, momentum=0.9)",
    "sgd_nesterov": "SGD(learning_rate=0.05, momentum=0.8, nesterov=true)",
    "sgd_weight_decay": "SGD(learning_rate=0.1, weight_decay=0.1)",
    "sgd_clipnorm": "SGD(learning_rate=0.1, clipnorm=0.3)", "sgd_clipvalue": "SGD(learning_rate=0.1, clipvalue=0.1)",
    "sgd_global_clipnorm": "SGD(learning_rate=0.1, momentum=0.5, global_clipnorm=0.4)",
    "sgd_global_clipnorm_inactive": "SGD(learning_rate=0.1, global_clipnorm=100.0)",
    "adam": "Adam()", "adam_string": "adam", "adam_epsilon": "Adam(learning_rate=0.02, epsilon=0.05)",
    "adam_betas": "Adam(learning_rate=0.02, beta_1=0.7, beta_2=0.9)", "adam_weight_decay": "Adam(learning_rate=0.02, weight_decay=0.1)",
    "adam_clipnorm": "Adam(learning_rate=0.02, epsilon=0.01, clipnorm=0.2)",
    "adam_clipvalue": "Adam(learning_rate=0.02, epsilon=0.01, clipvalue=0.05)",
    "adam_global_clipnorm": "Adam(learning_rate=0.02, epsilon=0.01, global_clipnorm=0.3)",
    "adamw": "AdamW(learning_rate=0.02)", "adamw_weight_decay": "AdamW(learning_rate=0.02, weight_decay=0.2)",
    "rmsprop": "RMSprop()", "rmsprop_rho": "RMSprop(learning_rate=0.01, rho=0.7)",
    "rmsprop_epsilon": "RMSprop(learning_rate=0.01, epsilon=0.05)",
    "rmsprop_momentum": "RMSprop(learning_rate=0.01, momentum=0.8)", "rmsprop_centered": "RMSprop(learning_rate=0.01, centered=true)",
    "rmsprop_centered_momentum": "RMSprop(learning_rate=0.01, momentum=0.6, centered=true)",
    "rmsprop_weight_decay": "RMSprop(learning_rate=0.01, weight_decay=0.1)",
    "adam_amsgrad": "Adam(learning_rate=0.02, beta_2=0.5, epsilon=0.01, amsgrad=true)",
    "adagrad": "Adagrad(learning_rate=0.05)",
    "adagrad_initial": "Adagrad(learning_rate=0.05, initial_accumulator_value=0.02, epsilon=0.1)",
    "adadelta": "Adadelta(learning_rate=1.0)", "adadelta_rho": "Adadelta(learning_rate=0.5, rho=0.7, epsilon=0.05)",
    "adamax": "Adamax(learning_rate=0.02)", "adamax_betas": "Adamax(learning_rate=0.02, beta_1=0.6, beta_2=0.7, epsilon=0.05)",
    "lion": "Lion(learning_rate=0.01)", "lion_betas": "Lion(learning_rate=0.01, beta_1=0.5, beta_2=0.7, weight_decay=0.1)",
}.items():
    case("optimizer_" + _name, NET, optimizer=_optimizer)
for _name, _schedule in {
    "exponential_decay": "ExponentialDecay(initial_learning_rate=0.1, decay_steps=3, decay_rate=0.5)",
    "exponential_decay_staircase": "ExponentialDecay(0.1, decay_steps=2, decay_rate=0.3, staircase=true)",
    "cosine_decay": "CosineDecay(initial_learning_rate=0.1, decay_steps=4)",
    "cosine_decay_alpha": "CosineDecay(0.1, 4, alpha=0.2)",
    "cosine_decay_restarts": "CosineDecayRestarts(0.1, 1.3, alpha=0.1)",
    "cosine_decay_restarts_even": "CosineDecayRestarts(0.1, 1.7, t_mul=1.0, m_mul=0.6)",
    "inverse_time_decay": "InverseTimeDecay(0.1, decay_steps=2, decay_rate=0.7)",
    "inverse_time_decay_staircase": "InverseTimeDecay(0.1, decay_steps=2, decay_rate=0.7, staircase=true)",
    "polynomial_decay": "PolynomialDecay(0.1, decay_steps=3, end_learning_rate=0.01, power=2.0)",
    "polynomial_decay_cycle": "PolynomialDecay(0.1, decay_steps=2, cycle=true)",
    "cosine_decay_warmup": "CosineDecay(0.01, 3, alpha=0.1, warmup_target=0.1, warmup_steps=2)",
}.items():
    case("schedule_" + _name, NET, optimizer=f"SGD(learning_rate={_schedule}, momentum=0.9)")
case("schedule_adam", NET, optimizer="Adam(learning_rate=ExponentialDecay(0.02, decay_steps=2, decay_rate=0.5))")

# Metrics ---------------------------------------------------------------------------------------------------------------------
case("metric_accuracy_binary", probabilities(1, "sigmoid"), "binary", "binary_crossentropy", metrics="accuracy")
case("metric_accuracy_categorical", probabilities(4, "softmax"), "one_hot", "categorical_crossentropy", metrics="accuracy")
case("metric_accuracy_sparse", probabilities(4, "softmax"), "classes", "sparse_categorical_crossentropy", metrics="accuracy")
case("metric_accuracy_sparse_column", probabilities(4, "softmax"), "classes_column", "sparse_categorical_crossentropy",
     metrics="accuracy")
case("metric_accuracy_multilabel", probabilities(4, "sigmoid"), "binary", "binary_crossentropy",
     metrics="accuracy, binary_accuracy")
case("metric_binary_accuracy_threshold", probabilities(1, "sigmoid"), "binary", "binary_crossentropy",
     metrics="BinaryAccuracy(threshold=0.6)")
case("metric_categorical_accuracy", probabilities(4, "softmax"), "one_hot", "categorical_crossentropy",
     metrics="categorical_accuracy, mean_squared_error")
case("metric_sparse_categorical_accuracy", logits(4), "classes", "SparseCategoricalCrossentropy(from_logits=true)",
     metrics="sparse_categorical_accuracy")
case("metric_regression", logits(3), metrics="mean_squared_error, mean_absolute_error")
case("metric_regression_aliases", logits(3), metrics="mse, mae")
case("metric_regression_objects", logits(2), metrics="MeanSquaredError(), MeanAbsoluteError()")
case("metric_regression_more", logits(3), metrics="mape, LogCoshError(), CosineSimilarity()")
case("metric_root_mean_squared_error", logits(2), metrics="RootMeanSquaredError()", rows=18)
case("metric_top_k", probabilities(5, "softmax"), "one_hot", "categorical_crossentropy", metrics="TopKCategoricalAccuracy(k=2)", rows=18)
case("metric_top_k_sparse", probabilities(5, "softmax"), "classes", "sparse_categorical_crossentropy",
     metrics="SparseTopKCategoricalAccuracy(k=3)", rows=18)
case("metric_precision_recall", probabilities(1, "sigmoid"), "binary", "binary_crossentropy", metrics="Precision(), Recall(thresholds=0.45)", rows=18)
case("metric_precision_recall_class", probabilities(3, "softmax"), "one_hot", "categorical_crossentropy",
     metrics="Precision(thresholds=0.3), Recall(class_id=1, thresholds=0.3), Precision(class_id=2, name=\"last\")", rows=18)
case("metric_precision_recall_masked", "Input((4, 3))\nMasking()\nDense(2, activation=sigmoid)", "binary", "binary_crossentropy",
     metrics="Precision(), Recall()", padded=0)
case("metric_ignores_weights", logits(2), metrics="mae", weights=True)
case("metric_rank3", "Input((3, 5))\nDense(4, activation=softmax)", "classes", "sparse_categorical_crossentropy", metrics="accuracy")

# Combinators, models as layers -----------------------------------------------------------------------------------------------
case("residual", "Input(5)\nResidual {\n    Dense(7, activation=tanh)\n    Dense(5)\n}\nDense(3)")
case("residual_nested",
     "Input(5)\nDense(4)\nResidual {\n    Dense(6, activation=relu)\n    Residual { Dense(6, activation=tanh) }\n    Dense(4)\n}\nDense(2)")
case("residual_conv2d", f"{IMAGE}Residual {{\n    Conv2D(3, (3, 3), padding=same, activation=relu)\n    BatchNormalization()\n}}{HEAD}", optimizer=SLOW, seed=2)
case("concatenate", "Input(5)\nDense(4)\nConcatenate {\n    { Dense(3, activation=tanh) }\n    { Dense(6), Dense(2, activation=relu) }\n}\nDense(3)")
case("concatenate_conv2d", f"{IMAGE}Concatenate {{\n    {{ Conv2D(2, (3, 3), padding=same) }}\n    {{ Conv2D(3, (1, 1)) }}\n    {{ AveragePooling2D(3, strides=1, padding=same) }}\n}}{HEAD}", optimizer=SLOW)
case("concatenate_axis", "Input((3, 5))\nConcatenate(axis=1) {\n    { Dense(4) }\n    { Dense(4, activation=tanh) }\n}\nFlatten()\nDense(2)")
case("add", "Input(5)\nDense(4)\nAdd {\n    { Dense(6, activation=tanh) }\n    { Dense(6, activation=sigmoid) }\n    { Dense(6) }\n}\nDense(3)")
case("subtract", "Input(5)\nDense(4)\nSubtract {\n    { Dense(6, activation=tanh) }\n    { Dense(6) }\n}\nDense(3)")
case("repeat", "Input(5)\nRepeat(3) { Dense(5, activation=tanh) }\nDense(3)")
case("repeat_residual", "Input(5)\nRepeat(2) {\n    Residual {\n        LayerNormalization()\n        Dense(7, activation=gelu)\n        Dense(5)\n    }\n}\nDense(3)")
case("model_as_layer", "Input(5)\nencoder\ndecoder", title="autoencoder", models="""
model encoder {
    Input(5)
    Dense(4, activation=tanh)
    Dense(2)
}

model decoder {
    Input(2)
    Dense(4, activation=tanh)
    Dense(5)
}""", optimizer="Adam(learning_rate=0.01, epsilon=0.001)")
case("model_shared", "Input(5)\nDense(4)\nblock\nblock\nDense(3)", title="twice", models="""
model block {
    Input(4)
    Dense(6, activation=tanh)
    Dense(4)
}""")

# Class weights, a short last batch, whole networks ----------------------------------------------------------------------------
case("class_weight_sparse", probabilities(4, "softmax"), "classes", "sparse_categorical_crossentropy", metrics="accuracy",
     fit=["class_weight = {0: 2.0, 1: 0.5, 3: 1.5}"])
case("class_weight_categorical", probabilities(3, "softmax"), "one_hot", "categorical_crossentropy",
     fit=["class_weight = {0: 2.0, 1: 0.5, 2: 3.0}"])
case("class_weight_binary", probabilities(1, "sigmoid"), "binary", "binary_crossentropy",
     fit=["class_weight = {0: 0.5, 1: 3.0}"])
case("short_last_batch", logits(3), batch=6, rows=27, metrics="mae")
case("short_last_batch_batch_normalization", "Input(5)\nDense(6, use_bias=false)\nBatchNormalization()\nDense(3)", batch=6, rows=28)
case("network_dense", "Input(9)\nDense(9, activation=relu)\nDense(9, activation=relu)\nDense(5, activation=softmax)", "one_hot",
     "categorical_crossentropy", "Adam(learning_rate=0.01)", "accuracy", batch=6)
case("network_convolution", "Input((9, 9, 1))\nConv2D(4, (3, 3), activation=relu)\nMaxPooling2D((2, 2))\nConv2D(6, (2, 2), activation=relu)\n"
     "MaxPooling2D((2, 2), padding=same)\nFlatten()\nDropout(0)\nDense(5, activation=softmax)", "classes",
     "sparse_categorical_crossentropy", "Adam(learning_rate=0.01, epsilon=0.001)", "accuracy", batch=6)
case("network_regression", "Input(7)\nBatchNormalization()\nDense(9, activation=silu, kernel_regularizer=L2(0.001))\nDense(1)",
     loss="Huber()", optimizer="AdamW(learning_rate=0.01)", metrics="mae, mse", batch=6, seed=5)

import cases_attention  # noqa: E402, F401 (it adds to the table)
import cases_recurrent  # noqa: E402, F401
