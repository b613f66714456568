/* --bundle. */
#include "driver/driver.h"
bool bundle_runtime(Text *out, bool library) {
    (void)out, (void)library;
    return false;
}
