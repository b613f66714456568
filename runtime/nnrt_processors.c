/* Processors of this process: affinity mask and quotas of control groups, versions 1 and 2. What cannot be read does
 * not limit. A quota of part of a processor is rounded: threads that meet at barriers lose what one of them is held up.
 */
#include "nnrt_processors.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSORS_PATH = 4096, PROCESSORS_LINE = 8192 };

/* ---- affinity */

static int hexadecimal_digit(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *found = strchr(digits, c);
    return c && found ? (int)(found - digits) : 0;
}

/* The line "Cpus_allowed:   ff,ffffffff": a bit for each processor. */
int nnrt_processors_allowed(const char *prefix) {
    static const char name[] = "Cpus_allowed:";
    char path[PROCESSORS_PATH], line[PROCESSORS_LINE];
    int count = 0;
    snprintf(path, sizeof path, "%s/proc/self/status", prefix);
    FILE *file = fopen(path, "r");
    while (file && count == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, sizeof name - 1) == 0)
            for (const char *at = line + sizeof name - 1; *at; at++)
                for (int bits = hexadecimal_digit(*at); bits; bits &= bits - 1)
                    count++;
    if (file)
        fclose(file);
    return count;
}

/* ---- quotas */

/* Version 2: "200000 100000", or "max 100000". */
static double quota_of_version_2(const char *folder) {
    char path[PROCESSORS_PATH];
    double quota = 0, period = 0;
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    bool limited = fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0;
    fclose(file);
    return limited ? quota / period : 0;
}

static double number_in(const char *folder, const char *name) {
    char path[PROCESSORS_PATH];
    double number = 0;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%lf", &number) != 1)
        number = 0;
    fclose(file);
    return number;
}

/* Version 1: a quota of -1 is none. */
static double quota_of_version_1(const char *folder) {
    double quota = number_in(folder, "cpu.cfs_quota_us"), period = number_in(folder, "cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : 0;
}

static double least_quota(double a, double b) {
    return a <= 0 || (b > 0 && b < a) ? b : a;
}

/* The least quota of a group and of those around it, up to where the hierarchy is mounted. */
static double quota_of_group(const char *mount, const char *group, double (*quota_of)(const char *folder)) {
    char folder[PROCESSORS_PATH];
    size_t top = strlen(mount);
    if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder)
        return quota_of(mount);
    double least = quota_of(folder);
    for (size_t length = strlen(folder); length-- > top;)
        if (folder[length] == '/') {
            folder[length] = 0;
            least = least_quota(least, quota_of(folder));
        }
    return least;
}

/* Is `word` one of the words of a list with commas? */
static bool list_has(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == 0))
            return true;
    return false;
}

/* The group of this process in the hierarchy `version`: a line "0::/group", or "4:cpu,cpuacct:/group". */
static bool find_group(const char *prefix, int version, char *group) {
    char path[PROCESSORS_PATH], line[PROCESSORS_LINE], controllers[256];
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", prefix);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        if (version == 2)
            found = sscanf(line, "0::%2047[^\n]", group) == 1;
        else
            found = sscanf(line, "%*d:%255[^:]:%2047[^\n]", controllers, group) == 2 && list_has(controllers, "cpu");
    }
    if (file)
        fclose(file);
    return found;
}

/* Where the hierarchy `version` is mounted, and which of its groups is seen there: a line of mountinfo is
 * "30 23 0:26 ROOT MOUNT options optional... - TYPE source OPTIONS". */
static bool find_mount(const char *prefix, int version, char *root, char *mount) {
    char path[PROCESSORS_PATH], line[PROCESSORS_LINE], type[64], options[1024];
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/self/mountinfo", prefix);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *rest = strstr(line, " - ");
        found = rest && sscanf(line, "%*s %*s %*s %2047s %1023s", root, mount) == 2 &&
                sscanf(rest, " - %63s %*s %1023s", type, options) == 2 &&
                (version == 2 ? strcmp(type, "cgroup2") == 0 : strcmp(type, "cgroup") == 0 && list_has(options, "cpu"));
    }
    if (file)
        fclose(file);
    return found;
}

/* Within a container the group may be named as the host names it, and its own folder be all that is seen of them. */
static double quota_of_hierarchy(const char *prefix, int version) {
    char group[2048], root[2048], mount[1024], place[PROCESSORS_PATH];
    if (!find_group(prefix, version, group) || !find_mount(prefix, version, root, mount))
        return 0;
    size_t shown = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool seen = strncmp(group, root, shown) == 0 && (group[shown] == '/' || group[shown] == 0);
    const char *within = seen ? group + shown : "";
    snprintf(place, sizeof place, "%s%s", prefix, mount);
    return quota_of_group(place, within, version == 2 ? quota_of_version_2 : quota_of_version_1);
}

double nnrt_processors_quota(const char *prefix) {
    return least_quota(quota_of_hierarchy(prefix, 2), quota_of_hierarchy(prefix, 1));
}

int nnrt_processors(void) {
    long machine = sysconf(_SC_NPROCESSORS_ONLN);
    int processors = machine < 1 ? 1 : (int)machine, allowed = nnrt_processors_allowed("");
    double quota = nnrt_processors_quota("");
    if (allowed > 0 && allowed < processors)
        processors = allowed;
    if (quota > 0 && quota < processors)
        processors = quota < 1 ? 1 : (int)(quota + 0.5);
    return processors;
}
