/* The nnrt_program table: what the runtime knows about the model, as constant data. */
#include "codegen/emit/host_parts.h"
#include <math.h>
#include <string.h>

static const char *const roles[] = {[VARIABLE_TRAINABLE] = "NNRT_TRAINABLE",
                                    [VARIABLE_NON_TRAINABLE] = "NNRT_NON_TRAINABLE",
                                    [VARIABLE_OPTIMIZER] = "NNRT_OPTIMIZER",
                                    [VARIABLE_PREPROCESS] = "NNRT_PREPROCESS"};
static const char *const inits[] = {
    [INIT_CONSTANT] = "NNRT_INIT_CONSTANT",     [INIT_UNIFORM] = "NNRT_INIT_UNIFORM",
    [INIT_NORMAL] = "NNRT_INIT_NORMAL",         [INIT_TRUNCATED_NORMAL] = "NNRT_INIT_TRUNCATED_NORMAL",
    [INIT_ORTHOGONAL] = "NNRT_INIT_ORTHOGONAL", [INIT_IDENTITY] = "NNRT_INIT_IDENTITY",
    [INIT_FORGET] = "NNRT_INIT_FORGET"};
static const char *const fits[] = {[FIT_NONE] = "NNRT_FIT_NONE",
                                   [FIT_MEAN] = "NNRT_FIT_MEAN",
                                   [FIT_VARIANCE] = "NNRT_FIT_VARIANCE",
                                   [FIT_MINIMUM] = "NNRT_FIT_MINIMUM",
                                   [FIT_MAXIMUM] = "NNRT_FIT_MAXIMUM"};
static const char *const data_kinds[] = {
    [DATA_NONE] = "NNRT_DATA_NONE", [DATA_CSV] = "NNRT_DATA_CSV",   [DATA_IDX] = "NNRT_DATA_IDX",
    [DATA_NPY] = "NNRT_DATA_NPY",   [DATA_TEXT] = "NNRT_DATA_TEXT", [DATA_WINDOWS] = "NNRT_DATA_WINDOWS"};
static const char *const text_modes[] = {
    [TEXT_ERROR] = "NNRT_TEXT_ERROR", [TEXT_ONE_HOT] = "NNRT_TEXT_ONE_HOT", [TEXT_INDEX] = "NNRT_TEXT_INDEX"};
static const char *const callback_kinds[] = {[CALLBACK_EARLY_STOPPING] = "NNRT_EARLY_STOPPING",
                                             [CALLBACK_MODEL_CHECKPOINT] = "NNRT_MODEL_CHECKPOINT",
                                             [CALLBACK_REDUCE_LR_ON_PLATEAU] = "NNRT_REDUCE_LR_ON_PLATEAU",
                                             [CALLBACK_CSV_LOGGER] = "NNRT_CSV_LOGGER",
                                             [CALLBACK_TERMINATE_ON_NAN] = "NNRT_TERMINATE_ON_NAN"};

/* ---- fields */

static void field_string(Text *out, const char *name, const char *value) {
    text_format(out, ".%s = ", name);
    host_string(out, value);
    text_add(out, ", ");
}

static void field_number(Text *out, const char *name, int64_t value) {
    text_format(out, ".%s = %lld, ", name, (long long)value);
}

static void field_double(Text *out, const char *name, double value) {
    text_format(out, ".%s = ", name);
    host_double(out, value);
    text_add(out, ", ");
}

static void field_bool(Text *out, const char *name, bool value) {
    text_format(out, ".%s = %s, ", name, value ? "true" : "false");
}

static void finish_line(Text *out, Text *line, int depth, const char *end) {
    while (line->length && (line->data[line->length - 1] == ' ' || line->data[line->length - 1] == ','))
        line->data[--line->length] = '\0';
    host_line(out, depth, "%s%s", line->data, end);
    text_clear(line);
}

/* ---- variables */

static const KBuffer *buffer_of(const Host *h, const Variable *variable) {
    for (int i = 0; i < h->program->buffer_count; i++) {
        const KBuffer *b = h->program->buffers[i];
        if (b->space == SPACE_VARIABLE && b->variable == variable && !b->alias)
            return b;
    }
    return NULL;
}

/* Rows that are padded to whole vectors are panels of the innermost axis in their plain order. */
static void storage(Text *out, const KBuffer *b) {
    int block = b->block, axis = b->block_axis;
    if (block == 0 && b->pad > 1 && b->rank > 0) {
        block = b->pad;
        axis = b->order[b->rank - 1];
    }
    text_add(out, "{{");
    for (int i = 0; i < b->rank; i++)
        text_format(out, "%s%d", i ? ", " : "", b->order[i]);
    text_format(out, "%s}, %d, %d}", b->rank ? "" : "0", axis, block);
}

/* One row, one line, also where it is long: it is read as a table. */
static void variable_row(const Host *h, Text *out, const Variable *v) {
    const KBuffer *b = buffer_of(h, v);
    text_add(out, "    {");
    host_string(out, v->name);
    text_format(out, ", %s, %s, %d, {", roles[v->role], v->type->dtype == DTYPE_F32 ? "NNRT_F32" : "NNRT_I32",
                v->type->rank);
    for (int i = 0; i < v->type->rank; i++)
        text_format(out, "%s%lld", i ? ", " : "", (long long)v->type->dims[i].n);
    text_format(out, "%s}, offsetof(%s, %s), ", v->type->rank ? "" : "0", h->name, b->name);
    storage(out, b);
    text_format(out, ", {%s, ", inits[v->init.kind]);
    host_double(out, v->init.a);
    text_add(out, ", ");
    host_double(out, v->init.b);
    text_format(out, ", %lld}, %s},\n", (long long)v->init.seed, fits[v->fit]);
}

static void variables(const Host *h, Text *out) {
    const Module *module = h->program->module;
    if (module->variable_count == 0)
        return;
    host_text(h, out,
              "/* Name, role, type, rank, shape, place, storage (order of axes, panels), initial value, statistic. */\n"
              "static const nnrt_variable $n_variables[] = {\n");
    for (int i = 0; i < module->variable_count; i++)
        variable_row(h, out, module->variables[i]);
    text_add(out, "};\n\n");
}

/* ---- layers and metrics */

static void layers(const Host *h, Text *out) {
    host_text(h, out, "static const nnrt_layer $n_layers[] = {\n");
    for (int i = 0; i < h->info->layer_count; i++) {
        const Layer *layer = &h->info->layers[i];
        Text line = {0}, shape = {0};
        text_add(&shape, "(None");
        for (int d = 1; layer->output && d < layer->output->rank; d++)
            text_format(&shape, ", %lld", (long long)layer->output->dims[d].n);
        text_add(&shape, layer->output && layer->output->rank > 1 ? ")" : ",)");
        text_add(&line, "{");
        host_string(&line, layer->name);
        text_add(&line, ", ");
        host_string(&line, layer->type);
        text_add(&line, ", ");
        host_string(&line, shape.data);
        text_format(&line, ", %lld},", (long long)layer->parameters);
        host_line(out, 1, "%s", line.data);
        text_free(&line);
        text_free(&shape);
    }
    text_add(out, "};\n\n");
}

static void metrics(const Host *h, Text *out) {
    host_text(h, out, "static const nnrt_metric $n_metric_table[] = {\n");
    for (int i = 0; i < h->info->metric_count; i++) {
        const Metric *metric = &h->info->metrics[i];
        Text line = {0};
        text_add(&line, "{");
        host_string(&line, metric->name);
        text_format(&line, ", %s, %s},", metric->root_mean ? "NNRT_SHOW_ROOT_MEAN" : "NNRT_SHOW_MEAN",
                    metric->higher_is_better ? "true" : "false");
        host_line(out, 1, "%s", line.data);
        text_free(&line);
    }
    text_add(out, "};\n\n");
}

/* ---- data and fit */

static const DataSource *source_of(const Host *h, int which) {
    const DataSource *sources[] = {&h->info->train, &h->info->test, &h->info->validation};
    return sources[which];
}
static const char *const source_names[] = {"train", "test", "validation"};

static void text_columns(const Host *h, Text *out) {
    for (int s = 0; s < 3; s++) {
        const DataSource *source = source_of(h, s);
        if (source->text_count == 0)
            continue;
        text_format(out, "static const nnrt_text_column %s_%s_text[] = {\n", h->name, source_names[s]);
        for (int i = 0; i < source->text_count; i++) {
            text_add(out, "    {");
            host_string(out, source->text[i].column);
            text_format(out, ", %s},\n", text_modes[source->text[i].mode]);
        }
        text_add(out, "};\n\n");
    }
}

static void column_list(const Host *h, Text *out, int which, const char *what, const char **columns, int count) {
    Text line = {0};
    if (count == 0)
        return;
    text_format(&line, "static const char *const %s_%s_%s[] = {", h->name, source_names[which], what);
    for (int i = 0; i < count; i++) {
        host_string(&line, columns[i]);
        text_add(&line, ", ");
    }
    finish_line(out, &line, 0, "};");
    text_add(out, "\n");
    text_free(&line);
}

static void window_columns(const Host *h, Text *out) {
    for (int s = 0; s < 3; s++) {
        const DataSource *source = source_of(h, s);
        column_list(h, out, s, "columns", source->columns, source->column_count);
        column_list(h, out, s, "targets", source->targets, source->target_count);
    }
}

static void data_source(const Host *h, Text *out, int which) {
    const DataSource *source = source_of(h, which);
    Text line = {0};
    if (source->kind == DATA_NONE)
        return;
    text_format(&line, ".%s = {.kind = %s, ", source_names[which], data_kinds[source->kind]);
    field_string(&line, "file", source->file);
    if (source->target_file)
        field_string(&line, "target_file", source->target_file);
    if (source->target)
        field_string(&line, "target", source->target);
    if (source->weight)
        field_string(&line, "weight", source->weight);
    field_bool(&line, "header", source->header > 0);
    field_bool(&line, "header_auto", source->header < 0);
    char separator[2] = {source->separator ? source->separator : ',', 0};
    if (strchr("'\\", separator[0]) || separator[0] < 0x20)
        field_number(&line, "separator", separator[0]);
    else
        text_format(&line, ".separator = '%s', ", separator);
    if (source->text_count)
        text_format(&line, ".text = %s_%s_text, .text_count = %d, ", h->name, source_names[which], source->text_count);
    field_number(&line, "first", source->first);
    field_number(&line, "count", source->count);
    if (source->window) {
        field_number(&line, "window", source->window);
        field_number(&line, "stride", source->stride);
    }
    if (source->horizon)
        field_number(&line, "horizon", source->horizon);
    if (source->column_count)
        text_format(&line, ".columns = %s_%s_columns, .column_count = %d, ", h->name, source_names[which],
                    source->column_count);
    if (source->target_count)
        text_format(&line, ".targets = %s_%s_targets, .target_count = %d, ", h->name, source_names[which],
                    source->target_count);
    finish_line(out, &line, 1, "},");
    text_free(&line);
}

static void callback(Text *out, const Callback *c) {
    Text line = {0};
    text_format(&line, "{.kind = %s, ", callback_kinds[c->kind]);
    if (c->monitor)
        field_string(&line, "monitor", c->monitor);
    if (c->file)
        field_string(&line, "file", c->file);
    if (c->separator)
        field_string(&line, "separator", c->separator);
    field_number(&line, "mode", c->mode);
    field_number(&line, "patience", c->patience);
    field_number(&line, "cooldown", c->cooldown);
    field_number(&line, "start_from_epoch", c->start_from_epoch);
    field_number(&line, "verbose", c->verbose);
    field_double(&line, "min_delta", c->min_delta);
    field_double(&line, "baseline", c->baseline);
    field_double(&line, "factor", c->factor);
    field_double(&line, "min_lr", c->min_lr);
    field_double(&line, "initial_value_threshold", c->initial_value_threshold);
    field_bool(&line, "restore_best_weights", c->restore_best_weights);
    field_bool(&line, "save_best_only", c->save_best_only);
    field_bool(&line, "save_weights_only", c->save_weights_only);
    field_bool(&line, "append", c->append);
    field_number(&line, "save_freq", c->save_freq);
    finish_line(out, &line, 1, "},");
    text_free(&line);
}

/* The raw columns whose classes are checked when a file is read. */
static void class_columns(const Host *h, Text *out) {
    Text line = {0};
    if (h->info->class_column_count == 0)
        return;
    host_text(h, &line, "static const nnrt_class_column $n_class_columns[] = {");
    for (int i = 0; i < h->info->class_column_count; i++)
        text_format(&line, "{%lld, %lld}, ", (long long)h->info->class_columns[i].column,
                    (long long)h->info->class_columns[i].classes);
    finish_line(out, &line, 0, "};");
    text_add(out, "\n");
    text_free(&line);
}

static void fit_tables(const Host *h, Text *out) {
    const Fit *fit = &h->info->fit;
    if (fit->callback_count) {
        host_text(h, out, "static const nnrt_callback $n_callbacks[] = {\n");
        for (int i = 0; i < fit->callback_count; i++)
            callback(out, &fit->callbacks[i]);
        text_add(out, "};\n\n");
    }
    if (fit->class_weight) {
        Text line = {0};
        host_text(h, &line, "static const double $n_class_weight[] = {");
        for (int i = 0; i < fit->class_weight_count; i++) {
            host_double(&line, fit->class_weight[i]);
            text_add(&line, ", ");
        }
        finish_line(out, &line, 0, "};");
        text_add(out, "\n");
        text_free(&line);
    }
}

static void fit_defaults(const Host *h, Text *out) {
    const Fit *fit = &h->info->fit;
    Text line = {0};
    text_add(&line, ".fit = {");
    field_number(&line, "epochs", fit->epochs);
    field_number(&line, "batch_size", fit->batch_size);
    field_number(&line, "initial_epoch", fit->initial_epoch);
    field_bool(&line, "shuffle", fit->shuffle);
    field_double(&line, "validation_split", fit->validation_split);
    field_number(&line, "validation_freq", fit->validation_freq);
    text_format(&line, ".seed = %lluu, ", (unsigned long long)fit->seed);
    if (fit->class_weight)
        text_format(&line, ".class_weight = %s_class_weight, .class_count = %d, ", h->name, fit->class_weight_count);
    if (fit->callback_count)
        text_format(&line, ".callbacks = %s_callbacks, .callback_count = %d, ", h->name, fit->callback_count);
    finish_line(out, &line, 1, "},");
    text_free(&line);
}

/* ---- the table */

static void identity_fields(const Host *h, Text *out) {
    Text line = {0};
    field_string(&line, "name", h->name);
    field_string(&line, "source_file", h->options->source_file);
    field_string(&line, "compiler", h->options->compiler);
    finish_line(out, &line, 1, ",");
    host_text(h, &line, ".model_bytes = sizeof($n), .model_alignment = 64, ");
    host_text(h, &line,
              h->program->arena_bytes > 0 ? ".arena_offset = offsetof($n, arena), .arena_bytes = $N_ARENA_BYTES, "
                                          : ".arena_offset = sizeof($n), .arena_bytes = 0, ");
    finish_line(out, &line, 1, ",");
    if (h->program->module->variable_count)
        text_format(&line, ".variables = %s_variables, .variable_count = %d, ", h->name,
                    h->program->module->variable_count);
    text_format(&line, ".layers = %s_layers, .layer_count = %d, ", h->name, h->info->layer_count);
    finish_line(out, &line, 1, ",");
    text_free(&line);
}

static int64_t input_stride(const Host *h) {
    const HostStep *step = &h->steps[host_has_training(h) ? HOST_TRAIN : HOST_FORWARD];
    const KBuffer *x = step->sequence->func->body.arg_count ? step->arguments[0] : NULL;
    return x && x->row_stride > 0 ? x->row_stride : host_sample_size(h->info->input);
}

static void shape_fields(const Host *h, Text *out) {
    const Program *info = h->info;
    Text line = {0};
    field_number(&line, "raw_input_size", host_sample_size(info->raw_input));
    field_number(&line, "input_size", host_sample_size(info->input));
    field_number(&line, "input_stride", input_stride(h));
    field_number(&line, "input_rank", info->input->rank - 1);
    if (info->input->rank > 1) {
        text_add(&line, ".input_dims = {");
        for (int i = 1; i < info->input->rank; i++)
            text_format(&line, i > 1 ? ", %lld" : "%lld", (long long)info->input->dims[i].n);
        text_add(&line, "}, ");
    }
    field_number(&line, "output_size", host_sample_size(info->output));
    finish_line(out, &line, 1, ",");
    if (info->target) {
        text_format(&line, ".target_dtype = %s, ", info->target->dtype == DTYPE_F32 ? "NNRT_F32" : "NNRT_I32");
        field_number(&line, "target_size", host_sample_size(info->target));
        field_number(&line, "class_count", info->class_count);
        field_bool(&line, "target_one_hot", info->target_one_hot);
        finish_line(out, &line, 1, ",");
    }
    if (info->class_column_count)
        text_format(&line, ".class_columns = %s_class_columns, .class_column_count = %d, ", h->name,
                    info->class_column_count);
    field_bool(&line, "has_preprocess", host_has_preprocess(h));
    field_bool(&line, "has_sample_weight", info->has_sample_weight);
    field_bool(&line, "has_training", host_has_training(h));
    host_text(h, &line, ".maximum_batch = $M, ");
    finish_line(out, &line, 1, ",");
    field_number(&line, "learning_rate_variable", info->learning_rate ? info->learning_rate->id : -1);
    field_number(&line, "iteration_variable", info->iteration ? info->iteration->id : -1);
    if (host_has_training(h))
        text_format(&line, ".metrics = %s_metric_table, .metric_count = %d, ", h->name, info->metric_count);
    finish_line(out, &line, 1, ",");
    text_free(&line);
}

static void functions(const Host *h, Text *out) {
    if (host_is_on_stream(h))
        return;
    if (host_has_training(h))
        host_text(h, out, "    .train_steps = $n_train_steps,\n    .evaluate_steps = $n_evaluate_steps,\n");
    host_text(h, out, "    .predict = $n_predict_rows,\n");
    if (host_has_preprocess(h))
        host_text(h, out, "    .preprocess = $n_preprocess,\n");
    if (h->target->device)
        text_add(out, h->target->device);
}

void host_table(Host *h, Text *out) {
    text_add(out, "/* ---- The model as the runtime sees it. */\n\n");
    variables(h, out);
    layers(h, out);
    if (host_has_training(h))
        metrics(h, out);
    text_columns(h, out);
    window_columns(h, out);
    class_columns(h, out);
    fit_tables(h, out);
    host_text(h, out, "static const nnrt_program $n_program = {\n");
    identity_fields(h, out);
    shape_fields(h, out);
    for (int s = 0; s < 3; s++)
        data_source(h, out, s);
    fit_defaults(h, out);
    text_format(out, "    .default_threads = %d,\n", host_default_threads(h->program));
    functions(h, out);
    text_add(out, "};\n\n");
}
