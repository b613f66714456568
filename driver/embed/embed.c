/* Build tool: writes a C file that holds the given text files, for --bundle.
 * Usage: nnc_embed OUT.c FILE... Leaves: `embedded_files`, ended by a row without a name. */
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The text as numbers: string literals may not be as long as a file. */
static int embed(FILE *out, const char *path, int number) {
    FILE *in = fopen(path, "rb");
    int column = 0;
    if (!in) {
        perror(path);
        return -1;
    }
    fprintf(out, "static const char file_%d[] = {\n", number);
    for (int c = fgetc(in); c != EOF; c = fgetc(in)) {
        int value = c > 127 ? c - 256 : c;
        fprintf(out, "%d,%s", value, ++column % 24 == 0 ? "\n" : "");
    }
    fputs("0};\n", out);
    return fclose(in);
}

int main(int argc, char **argv) {
    FILE *out = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        fprintf(stderr, "usage: nnc_embed OUT.c FILE...\n");
        return 1;
    }
    fputs("#include \"driver/embedded.h\"\n", out);
    for (int i = 2; i < argc; i++)
        if (embed(out, argv[i], i) != 0)
            return 1;
    fputs("const EmbeddedFile embedded_files[] = {\n", out);
    for (int i = 2; i < argc; i++)
        fprintf(out, "    {\"%s\", file_%d},\n", base_name(argv[i]), i);
    fputs("    {0, 0},\n};\n", out);
    return fclose(out) == 0 ? 0 : 1;
}
