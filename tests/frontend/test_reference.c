/* docs/reference.md is what the component records say. NNC_UPDATE_GOLDENS=1 in the environment writes it anew. */
#include "test.h"
#include <stdlib.h>
#include "frontend/frontend.h"

#define REFERENCE NNC_SOURCE_DIR "/docs/reference.md"

int main(void) {
    Text made = {0};
    frontend_reference(&made);
    CHECK(made.data != NULL && made.length > 1000);
    if (getenv("NNC_UPDATE_GOLDENS"))
        CHECK(text_write_file(REFERENCE, made.data, made.length) == 0);
    char *committed = text_read_file(REFERENCE, &(size_t){0});
    bool same = committed && made.data && strcmp(committed, made.data) == 0;
    CHECK(same);
    if (!same)
        printf("docs/reference.md is not what the records say; NNC_UPDATE_GOLDENS=1 tools/test.sh -R reference writes "
               "it\n");
    free(committed);
    text_free(&made);
    return test_report();
}
