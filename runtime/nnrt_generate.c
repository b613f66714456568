/* generate: text from a model of characters, one character after the other, each drawn from what the model expects
 * after the last window. Needs: weights with their characters. Leaves: the prompt and the new text on standard output.
 *
 * A model that predicts at every position gets a prompt that is shorter than its window at the beginning, and is read
 * at the last position of it: what stands behind has no influence where the model looks back only. A model that
 * predicts after the whole window gets it at the end, behind line breaks (or spaces, or the first character it knows).
 */
#include "nnrt_characters.h"
#include "nnrt_error.h"
#include "nnrt_json.h"
#include "nnrt_random.h"
#include "nnrt_trainer.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define GENERATE_STREAM 0xFFFFFFFEu /* no variable has this index, and the order of samples has the next one */

typedef struct {
    nnrt_trainer *trainer;
    const nnrt_vocabulary_column *known;
    int64_t window, classes; /* classes: values of one prediction */
    bool each;               /* a prediction at every position */
    int64_t *text;           /* prompt and what was drawn, as numbers */
    int64_t count;
    float *raw, *output;
    double *weights;
} Generator;

int nnrt_trainer_check_characters(const nnrt_trainer *trainer) {
    const nnrt_program *program = trainer->program;
    if (program->train.kind != NNRT_DATA_TEXT && program->test.kind != NNRT_DATA_TEXT)
        return NNRT_OK;
    if (nnrt_characters_known(&trainer->vocabulary))
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_DATA,
                      "%s: holds no list of characters: these weights were not trained on text; '%s fit' trains them",
                      trainer->options.weights, nnrt_command(program));
}

static const nnrt_data_source *generate_source(const nnrt_program *program) {
    return program->train.kind == NNRT_DATA_TEXT ? &program->train : &program->test;
}

static int generate_check(const nnrt_program *program) {
    if (generate_source(program)->kind != NNRT_DATA_TEXT)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED,
                          "generate is for models of text, whose data are text(...); this model's are not");
    if (!program->has_training || program->class_count < 1)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "this program was compiled without a loss; only predict works");
    return NNRT_OK;
}

static int generate_reserve(Generator *generator, int64_t prompt) {
    const nnrt_program *program = generator->trainer->program;
    size_t length = (size_t)prompt + (size_t)generator->trainer->options.length + 1;
    generator->text = malloc(length * sizeof *generator->text);
    generator->raw = aligned_alloc(64, ((size_t)generator->window * 4 + 127) / 64 * 64);
    generator->output = aligned_alloc(64, ((size_t)program->output_size * 4 + 127) / 64 * 64);
    generator->weights = malloc((size_t)generator->known->count * sizeof *generator->weights);
    if (generator->text && generator->raw && generator->output && generator->weights)
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_MEMORY, "no memory to generate text");
}

static void generate_free(Generator *generator) {
    free(generator->text);
    free(generator->raw);
    free(generator->output);
    free(generator->weights);
}

/* The character that stands for nothing: a line break, else a space, else the first. */
static int64_t generate_blank(const Generator *generator) {
    int64_t blank = nnrt_character_number(generator->known, "\n", 1);
    if (blank < 0)
        blank = nnrt_character_number(generator->known, " ", 1);
    return blank < 0 ? 0 : blank;
}

static int generate_take_prompt(Generator *generator) {
    const char *prompt = generator->trainer->options.prompt, *end = prompt ? prompt + strlen(prompt) : NULL;
    if (!prompt)
        generator->text[generator->count++] = generate_blank(generator);
    while (prompt < end) {
        char name[24];
        int length = nnrt_utf8_decode(prompt, end, NULL);
        if (length == 0)
            return nnrt_error(NNRT_ERROR_ARGUMENT, "--prompt: the text is not UTF-8");
        int64_t number = nnrt_character_number(generator->known, prompt, length);
        if (number < 0)
            return nnrt_error(NNRT_ERROR_DATA,
                              "--prompt: the character %s (number %lld) is not in the text that the model was trained "
                              "on; leave it out",
                              nnrt_character_name(prompt, length, name), (long long)generator->count + 1);
        generator->text[generator->count++] = number;
        prompt += length;
    }
    return NNRT_OK;
}

/* The window of the next prediction. Returns the place of the prediction within the output. */
static int64_t generate_window(Generator *generator, int64_t blank) {
    int64_t window = generator->window, used = generator->count < window ? generator->count : window;
    int64_t before = generator->each ? 0 : window - used;
    for (int64_t i = 0; i < window; i++)
        generator->raw[i] = (float)blank;
    for (int64_t i = 0; i < used; i++)
        generator->raw[before + i] = (float)generator->text[generator->count - used + i];
    return generator->each ? (used - 1) * generator->classes : 0;
}

/* Outputs of a softmax, or the values before it. */
static bool generate_is_probability(const float *scores, int64_t count) {
    double sum = 0;
    for (int64_t k = 0; k < count; k++) {
        if (!(scores[k] >= 0 && scores[k] <= 1))
            return false;
        sum += (double)scores[k];
    }
    return fabs(sum - 1) < 1e-3;
}

/* The next character: weights are exp(log-probability / temperature); without temperature the most probable. Classes
 * beyond the characters that there are stand for nothing. */
static int generate_draw(Generator *generator, const float *scores, int64_t *drawn) {
    const nnrt_options *options = &generator->trainer->options;
    bool probability = generate_is_probability(scores, generator->classes);
    int64_t count = generator->known->count, best = 0;
    double total = 0, sum = 0;
    for (int64_t k = 0; k < count; k++) {
        if (!isfinite(scores[k]))
            return nnrt_error(NNRT_ERROR_NUMBER, "the model's output is not a finite number; train it again");
        best = scores[k] > scores[best] ? k : best;
    }
    *drawn = best;
    if (options->temperature <= 0)
        return NNRT_OK;
    for (int64_t k = 0; k < count; k++) {
        double score = (double)scores[k], top = (double)scores[best];
        double distance = probability ? (score > 0 ? log(score) - log(top) : -INFINITY) : score - top;
        generator->weights[k] = exp(distance / options->temperature);
        total += generator->weights[k];
    }
    double point = total * ((double)nnrt_random_word(options->seed, GENERATE_STREAM, 0, (uint64_t)generator->count) /
                            4294967296.0);
    for (int64_t k = 0; k < count; k++) {
        sum += generator->weights[k];
        if (point < sum) {
            *drawn = k;
            break;
        }
    }
    return NNRT_OK;
}

static int generate_say(const Generator *generator, int64_t number) {
    FILE *out = generator->trainer->out;
    fputs(generator->known->values[number], out);
    if (fflush(out) != 0)
        return nnrt_error(NNRT_ERROR_FILE, "standard output cannot be written");
    return NNRT_OK;
}

static int generate_text(Generator *generator) {
    nnrt_trainer *trainer = generator->trainer;
    int64_t blank = generate_blank(generator);
    int code = NNRT_OK;
    for (int64_t i = 0; trainer->options.prompt && i < generator->count && !code; i++)
        code = generate_say(generator, generator->text[i]);
    for (int step = 0; step < trainer->options.length && !code; step++) {
        int64_t place = generate_window(generator, blank), drawn = 0;
        code = trainer->program->predict(trainer->model, generator->raw, 1, generator->output, 1);
        if (!code)
            code = generate_draw(generator, generator->output + place, &drawn);
        if (!code)
            code = generate_say(generator, drawn);
        generator->text[generator->count++] = drawn;
    }
    fputc('\n', trainer->out);
    return code;
}

int nnrt_run_generate(nnrt_trainer *trainer) {
    const nnrt_program *program = trainer->program;
    Generator generator = {.trainer = trainer, .window = generate_source(program)->window};
    const char *prompt = trainer->options.prompt;
    int code = generate_check(program);
    if (code == NNRT_OK)
        code = nnrt_trainer_load(trainer);
    if (code == NNRT_OK)
        code = nnrt_trainer_check_characters(trainer);
    if (code != NNRT_OK)
        return code;
    generator.known = nnrt_characters_known(&trainer->vocabulary);
    generator.classes = program->class_count;
    generator.each = program->target_size == generator.window && program->output_size > program->class_count;
    if (generator.known->count < 1 || generator.known->count > program->class_count)
        return nnrt_error(NNRT_ERROR_DATA, "%s: holds %lld characters, but the model has %lld classes; train it again",
                          trainer->options.weights, (long long)generator.known->count, (long long)program->class_count);
    signal(SIGPIPE, SIG_DFL); /* a reader that has seen enough ends the program without words */
    code = generate_reserve(&generator, prompt ? (int64_t)strlen(prompt) : 1);
    if (code == NNRT_OK)
        code = generate_take_prompt(&generator);
    if (code == NNRT_OK)
        code = nnrt_trainer_device(trainer);
    if (code == NNRT_OK)
        code = generate_text(&generator);
    generate_free(&generator);
    return code;
}
