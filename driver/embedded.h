/* The files of the runtime, inside nnc (driver/embed/embed.c writes them at build time). */
#ifndef NNC_DRIVER_EMBEDDED_H
#define NNC_DRIVER_EMBEDDED_H

typedef struct {
    const char *name, *text;
} EmbeddedFile;
extern const EmbeddedFile embedded_files[]; /* ended by a row without a name */
#endif
