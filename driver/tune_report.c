/* What `nnc tune` says at the end. */
#include "driver/tune_parts.h"

static double share(double part, double whole) {
    return whole > 0 ? 100 * part / whole : 0;
}

static void contractions(const Tune *t) {
    printf("%-34s %9s %9s %9s %9s %7s\n", "contraction, in", "default", "us", "tuned", "us", "gain");
    for (int i = 0; i < t->count; i++) {
        const Contraction *c = &t->items[i];
        char standard[24], best[24];
        snprintf(standard, sizeof standard, "%d x %d", c->seen.choice.rows, c->seen.choice.vectors);
        snprintf(best, sizeof best, "%d x %d", c->best.rows, c->best.vectors);
        printf("%-34.34s %9s %9.2f %9s %9.2f %5.1f %%\n", c->kernel, standard, c->measured / 1e3, best,
               c->best.measured / 1e3, share(c->measured - c->best.measured, c->measured));
    }
}

static void tried(const Tune *t) {
    printf("\nTiles tried, in order of the prediction (us predicted, us measured)\n");
    for (int i = 0; i < t->count; i++) {
        const Contraction *c = &t->items[i];
        printf("  %.60s: %d x %d %.2f %.2f", c->kernel, c->seen.choice.rows, c->seen.choice.vectors, c->predicted / 1e3,
               c->measured / 1e3);
        for (int n = 0; n < c->tile_count; n++)
            printf("; %d x %d %.2f %.2f%s", c->tiles[n].rows, c->tiles[n].vectors, c->tiles[n].predicted / 1e3,
                   c->tiles[n].measured / 1e3, c->tiles[n].other_bits ? " (other bits: not taken)" : "");
        printf("\n");
    }
}

static void kernels(const Tune *t) {
    double all = 0, predicted = 0;
    for (int k = 0; k < t->kernel_count; k++) {
        all += t->builds[0].times[k];
        predicted += t->predicted[k];
    }
    printf("\n%-50s %10s %10s\n", "kernel of a step (default tiles)", "predicted", "measured");
    for (int k = 0; k < t->kernel_count; k++)
        if (t->builds[0].times[k] > 0.01 * all || t->predicted[k] > 0.01 * predicted)
            printf("%-50.50s %10.2f %10.2f\n", t->kernel_names[k], t->predicted[k] / 1e3, t->builds[0].times[k] / 1e3);
    printf("%-50s %10.2f %10.2f\n", "all kernels", predicted / 1e3, all / 1e3);
}

void tune_report(const Tune *t) {
    contractions(t);
    tried(t);
    kernels(t);
    double before = t->builds[0].step, after = t->tuned ? t->tuned->step : before;
    if (!t->tuned)
        printf("\nStep: %.2f us. No tile is faster than what the rules choose.\n", before / 1e3);
    else
        printf("\nStep: default %.2f us, tuned %.2f us, gain %.1f %%%s\n", before / 1e3, after / 1e3,
               share(before - after, before), t->kept ? "" : ": the defaults are kept");
    printf("Written to %s\n", t->path);
}
