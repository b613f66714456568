/* predict: outputs of the network for raw samples, as CSV; with --show, pictures with the predicted class.
 * Needs: weights, an input file or pipe. Leaves: one line of numbers for each sample, %.9g, which reads back exactly.
 */
#include "nnrt_draw.h"
#include "nnrt_error.h"
#include "nnrt_feed.h"
#include "nnrt_file.h"
#include "nnrt_trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PREDICT_PIECE = 1024, PREDICT_NUMBER = 24, PREDICT_SMALLEST_PICTURE = 8, PREDICT_TOP = 3 };

/* Where the text goes: standard output, or a file that appears when it is complete. */
typedef struct {
    FILE *stream;
    nnrt_file_writer *file;
    char *line;
} PredictSink;

/* Memory of one piece of samples. */
typedef struct {
    float *output;
    float *windows; /* raw samples that are windows of one array, taken out of it; else NULL */
} PredictRows;

static float *predict_reserve(int64_t width) {
    return aligned_alloc(64, ((size_t)PREDICT_PIECE * (size_t)width * sizeof(float) + 127) / 64 * 64);
}

static int predict_table(nnrt_trainer *trainer, const nnrt_data_source *source, bool need_target, nnrt_table *table) {
    nnrt_table_request request = nnrt_table_request_of(trainer->program, nnrt_vocabulary_known(&trainer->vocabulary));
    request.need_target = need_target;
    return nnrt_table_read(source, &request, table);
}

/* --input, or else the test data. Columns and words are those of training. */
static int predict_source(const nnrt_trainer *trainer, nnrt_data_source *source) {
    const nnrt_program *program = trainer->program;
    const nnrt_options *options = &trainer->options;
    const nnrt_data_source *declared = program->test.kind != NNRT_DATA_NONE ? &program->test : &program->train;
    if (!options->input && (program->test.kind == NNRT_DATA_NONE || !program->test.file))
        return nnrt_error(NNRT_ERROR_ARGUMENT, "nothing to predict: name a file with --input=FILE, or --input=- for "
                                               "standard input");
    *source = nnrt_source_with(declared, options->input, NULL);
    if (options->input) {
        source->target_file = NULL;
        source->first = 0;
        source->count = -1;
        if (source->kind == NNRT_DATA_CSV || source->kind == NNRT_DATA_WINDOWS)
            source->header_auto = true;
    }
    if (options->input_target)
        source->target_file = options->input_target;
    return NNRT_OK;
}

/* The true classes are wanted for pictures only, and are welcome, not needed. A pipe can be read only once. */
static int predict_read(nnrt_trainer *trainer, nnrt_table *table) {
    nnrt_data_source source;
    int code = predict_source(trainer, &source);
    if (code != NNRT_OK)
        return code;
    bool pipe = strcmp(source.file, "-") == 0;
    if (trainer->options.show > 0 && !pipe && (source.kind == NNRT_DATA_CSV || source.target_file))
        if (predict_table(trainer, &source, true, table) == NNRT_OK)
            return NNRT_OK;
    return predict_table(trainer, &source, false, table);
}

static int predict_write_row(PredictSink *sink, const float *output, int64_t count) {
    size_t used = 0;
    for (int64_t k = 0; k < count; k++)
        used += (size_t)snprintf(sink->line + used, PREDICT_NUMBER, "%s%.9g", k ? "," : "",
                                 isnan(output[k]) ? fabs((double)output[k]) : (double)output[k]); /* nan has no sign */
    sink->line[used++] = '\n';
    if (sink->file)
        return nnrt_file_append(sink->file, sink->line, used);
    fwrite(sink->line, 1, used, sink->stream);
    return ferror(sink->stream) ? nnrt_error(NNRT_ERROR_FILE, "standard output cannot be written") : NNRT_OK;
}

/* Pictures. */

/* Height and width of a sample that is a grey picture; false for anything else. */
static bool predict_picture_size(const nnrt_program *program, int *height, int *width) {
    const int64_t *dims = program->input_dims;
    int64_t side = (int64_t)floor(sqrt((double)program->raw_input_size) + 0.5);
    int64_t rows = 0, columns = 0;
    if (program->input_rank == 2 || (program->input_rank == 3 && dims[2] == 1)) {
        rows = dims[0];
        columns = dims[1];
    } else if (program->input_rank == 1 && side >= PREDICT_SMALLEST_PICTURE) {
        rows = columns = side;
    }
    *height = (int)rows;
    *width = (int)columns;
    return rows > 0 && columns <= 256 && rows <= 256 && rows * columns == program->raw_input_size;
}

/* The word of a class where the target column holds text, else its number. */
static void predict_class_name(const nnrt_trainer *trainer, int64_t class_index, char *text, size_t size) {
    const char *target = trainer->program->train.target;
    for (int i = 0; target && i < trainer->vocabulary.count; i++) {
        const nnrt_vocabulary_column *column = &trainer->vocabulary.columns[i];
        if (strcmp(column->column, target) == 0 && class_index >= 0 && class_index < column->count) {
            snprintf(text, size, "%.*s", (int)size - 1, column->values[class_index]);
            return;
        }
    }
    snprintf(text, size, "%lld", (long long)class_index);
}

static int64_t predict_greatest(const float *values, int64_t count, const bool *taken) {
    int64_t best = -1;
    for (int64_t k = 0; k < count; k++)
        if (!(taken && taken[k]) && (best < 0 || values[k] > values[best]))
            best = k;
    return best;
}

static bool predict_is_probability(const float *output, int64_t count) {
    double sum = 0;
    for (int64_t k = 0; k < count; k++) {
        if (!(output[k] >= 0 && output[k] <= 1))
            return false;
        sum += output[k];
    }
    return count == 1 || fabs(sum - 1) < 1e-3;
}

/* The class that the data file gives; -1: not known. */
static int64_t predict_true_class(const nnrt_table *table, int64_t row) {
    if (table->target_i32)
        return table->target_i32[nnrt_table_target_place(table, row)];
    if (!table->target_f32)
        return -1;
    const float *target = table->target_f32 + nnrt_table_target_place(table, row);
    return table->target_size == 1 ? (int64_t)target[0] : predict_greatest(target, table->target_size, NULL);
}

static void predict_caption_head(const nnrt_trainer *trainer, int64_t predicted, int64_t truth, nnrt_picture *picture) {
    char name[32], true_name[32];
    predict_class_name(trainer, predicted, name, sizeof name);
    if (truth < 0) {
        snprintf(picture->caption[0], sizeof picture->caption[0], "predicted %s", name);
        return;
    }
    predict_class_name(trainer, truth, true_name, sizeof true_name);
    snprintf(picture->caption[0], sizeof picture->caption[0], "predicted %s, %s %s", name,
             truth == predicted ? "is" : "but is", true_name);
}

/* One class in a line: its name and how sure the network is. */
static void predict_caption_class(const nnrt_trainer *trainer, int64_t class_index, double value, bool probability,
                                  char *text, size_t size) {
    char name[32];
    predict_class_name(trainer, class_index, name, sizeof name);
    if (probability)
        snprintf(text, size, "%s: %.1f %%", name, 100 * value);
    else
        snprintf(text, size, "%s: %.4g", name, value);
}

static void predict_caption_classes(const nnrt_trainer *trainer, const float *output, int64_t truth,
                                    nnrt_picture *picture) {
    int64_t count = trainer->program->output_size;
    bool probability = predict_is_probability(output, count);
    bool *taken = calloc(count > 0 ? (size_t)count : 1, sizeof *taken);
    predict_caption_head(trainer, predict_greatest(output, count, NULL), truth, picture);
    for (int i = 0; taken && i < PREDICT_TOP && i < count; i++) {
        int64_t next = predict_greatest(output, count, taken);
        taken[next] = true;
        predict_caption_class(trainer, next, output[next], probability, picture->caption[1 + i],
                              sizeof picture->caption[0]);
    }
    free(taken);
}

/* Numbers that are no classes: the first outputs, and what they should have been. */
static void predict_caption_numbers(const nnrt_trainer *trainer, const nnrt_table *table, int64_t row,
                                    const float *output, nnrt_picture *picture) {
    int64_t count = trainer->program->output_size;
    const float *target = table->target_f32 ? table->target_f32 + nnrt_table_target_place(table, row) : NULL;
    for (int64_t k = 0; k < count && k < NNRT_CAPTION_LINES; k++) {
        if (target && table->target_size == count)
            snprintf(picture->caption[k], sizeof picture->caption[0], "predicted %.4g, is %.4g", (double)output[k],
                     (double)target[k]);
        else
            snprintf(picture->caption[k], sizeof picture->caption[0], "predicted %.4g", (double)output[k]);
    }
}

static void predict_caption(const nnrt_trainer *trainer, const nnrt_table *table, int64_t row, const float *output,
                            nnrt_picture *picture) {
    const nnrt_program *program = trainer->program;
    bool classes =
        program->output_size > 1 && (program->class_count > 0 || predict_is_probability(output, program->output_size));
    if (classes) {
        predict_caption_classes(trainer, output, predict_true_class(table, row), picture);
    } else if (program->output_size == 1 && program->class_count == 2 && predict_is_probability(output, 1)) {
        predict_caption_head(trainer, output[0] > 0.5f, predict_true_class(table, row), picture);
        predict_caption_class(trainer, 1, output[0], true, picture->caption[1], sizeof picture->caption[0]);
    } else {
        predict_caption_numbers(trainer, table, row, output, picture);
    }
}

static int predict_show(const nnrt_trainer *trainer, const nnrt_table *table, int64_t first, const float *output,
                        int64_t count) {
    const nnrt_program *program = trainer->program;
    nnrt_picture *pictures = calloc((size_t)count, sizeof *pictures);
    int height, width;
    bool drawn = !table->windows && predict_picture_size(program, &height, &width);
    if (!pictures)
        return nnrt_error(NNRT_ERROR_MEMORY, "no memory for pictures");
    for (int64_t i = 0; i < count; i++) {
        if (drawn) {
            pictures[i].pixels = table->x + (first + i) * table->x_stride;
            pictures[i].height = height;
            pictures[i].width = width;
        }
        predict_caption(trainer, table, first + i, output + i * program->output_size, &pictures[i]);
    }
    nnrt_draw_pictures(trainer->out, &trainer->terminal, pictures, (int)count);
    free(pictures);
    return NNRT_OK;
}

/* Raw samples from `first` on, as predict() wants them. */
static const float *predict_raw(const nnrt_table *table, int64_t first, int64_t count, float *windows) {
    if (!table->windows)
        return table->x + first * table->x_stride;
    for (int64_t i = 0; i < count; i++)
        nnrt_feed_window(table, first + i, windows + i * table->columns);
    return windows;
}

/* One call of the generated function; the next one may take another number of threads. */
static int predict_piece(nnrt_trainer *trainer, const float *raw, int64_t count, float *output) {
    nnrt_team *team = &trainer->measuring;
    nnrt_team_enter(team);
    int code = trainer->program->predict(trainer->model, raw, count, output, team->threads);
    nnrt_team_step(team, count);
    nnrt_team_leave(team);
    return code;
}

/* Predicts all samples in pieces; each goes to the sink (if there is one) and to the screen (if it is to be shown). */
static int predict_pieces(nnrt_trainer *trainer, const nnrt_table *table, PredictSink *sink, PredictRows memory) {
    float *output = memory.output;
    const nnrt_program *program = trainer->program;
    for (int64_t first = 0; first < table->rows; first += PREDICT_PIECE) {
        int64_t count = table->rows - first < PREDICT_PIECE ? table->rows - first : PREDICT_PIECE;
        int64_t shown = trainer->options.show - first;
        if (!sink && shown <= 0)
            break;
        int code = predict_piece(trainer, predict_raw(table, first, count, memory.windows), count, output);
        for (int64_t i = 0; code == NNRT_OK && sink && i < count; i++)
            code = predict_write_row(sink, output + i * program->output_size, program->output_size);
        if (code == NNRT_OK && shown > 0)
            code = predict_show(trainer, table, first, output, shown < count ? shown : count);
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}

/* Opens the sink that the options ask for, predicts, closes it. */
static int predict_into_sink(nnrt_trainer *trainer, const nnrt_table *table, PredictRows memory) {
    const char *path = trainer->options.output;
    bool to_file = path && strcmp(path, "-") != 0;
    nnrt_file_writer *writer = NULL;
    PredictSink sink = {.stream = trainer->out};
    int code = NNRT_OK;
    if (!to_file && trainer->options.show > 0)
        return predict_pieces(trainer, table, NULL, memory);
    sink.line = malloc((size_t)trainer->program->output_size * PREDICT_NUMBER + 2);
    if (to_file)
        sink.file = writer = malloc(sizeof *writer);
    if (!sink.line || (to_file && !writer))
        code = nnrt_error(NNRT_ERROR_MEMORY, "no memory to write predictions");
    if (code == NNRT_OK && to_file)
        code = nnrt_file_begin(writer, path);
    if (code == NNRT_OK) {
        code = predict_pieces(trainer, table, &sink, memory);
        if (to_file && code == NNRT_OK)
            code = nnrt_file_finish(writer);
        else if (to_file)
            nnrt_file_abandon(writer);
    }
    free(sink.line);
    free(writer);
    return code;
}

int nnrt_run_predict(nnrt_trainer *trainer) {
    const nnrt_options *options = &trainer->options;
    nnrt_table table = {.rows = 0};
    if (options->show > 0 && options->output && strcmp(options->output, "-") == 0)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--show draws on standard output; give --output a file");
    int code = nnrt_trainer_load(trainer);
    if (code == NNRT_OK)
        code = nnrt_trainer_check_characters(trainer);
    if (code == NNRT_OK)
        code = predict_read(trainer, &table);
    if (code == NNRT_OK)
        code = nnrt_trainer_device(trainer);
    if (code != NNRT_OK) {
        nnrt_table_free(&table);
        return code;
    }
    PredictRows memory = {predict_reserve(trainer->program->output_size),
                          table.windows ? predict_reserve(table.columns) : NULL};
    bool reserved = memory.output && (memory.windows || !table.windows);
    code =
        reserved ? predict_into_sink(trainer, &table, memory) : nnrt_error(NNRT_ERROR_MEMORY, "no memory to predict");
    free(memory.output);
    free(memory.windows);
    nnrt_table_free(&table);
    return code;
}
