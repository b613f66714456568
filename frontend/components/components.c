/* The array of all records, in the order of components.def. */
#include "frontend/components/components.h"

const Component *const components[] = {
#define X(record) &record,
#include "frontend/components/components.def"
#undef X
    NULL};
