/* Quotas of control groups, in trees of files that the test makes; and the processors of this process. */
#include "nnrt_processors.h"
#include "test.h"
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

static char tree[64];

/* Writes a file below the tree, with its folders. */
static void put(const char *path, const char *text) {
    char name[512];
    snprintf(name, sizeof name, "mkdir -p \"$(dirname '%s%s')\"", tree, path);
    CHECK(system(name) == 0);
    snprintf(name, sizeof name, "%s%s", tree, path);
    FILE *file = fopen(name, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
}

static void forget(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", tree);
    CHECK(system(command) == 0);
}

static void check(double quota) {
    CHECK_NEAR(nnrt_processors_quota(tree), quota, 1e-9);
}

#define MOUNT_2 "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_1                                                                                                        \
    "31 24 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"                                                \
    "33 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"

static void test_nothing(void) {
    check(0);
    put("/proc/self/cgroup", "");
    put("/proc/self/mountinfo", "");
    check(0);
    put("/proc/self/cgroup", "0::/\n");
    check(0);
    put("/proc/self/mountinfo", "22 27 0:21 / /proc rw,relatime - proc proc rw\nno line of that kind\n" MOUNT_2);
    check(0);
    put("/sys/fs/cgroup/cpu.max", "");
    check(0);
    put("/sys/fs/cgroup/cpu.max", "nonsense\n");
    check(0);
    forget();
}

/* In a container the group is seen as the root. */
static void test_version_2(void) {
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", MOUNT_2);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    check(0);
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    check(1.5);
    put("/proc/self/cgroup", "0::/user.slice/job.scope\n");
    check(1.5);
    put("/sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n");
    check(1.5);
    put("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
    check(0.5);
    put("/sys/fs/cgroup/user.slice/job.scope/cpu.max", "20000 100000\n");
    check(0.2);
    forget();
}

static void test_version_1(void) {
    put("/proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/docker/abc\n0::/\n");
    put("/proc/self/mountinfo", MOUNT_1);
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    check(0);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "400000\n");
    check(0);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "200000\n");
    check(2);
    forget();
}

/* The group as the host names it, its folder as the container sees it. */
static void test_mounted_group(void) {
    put("/proc/self/cgroup", "4:cpu:/docker/abc\n");
    put("/proc/self/mountinfo", "33 24 0:28 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check(3);
    put("/proc/self/cgroup", "4:cpu:/docker/abcdef\n");
    check(3);
    forget();
}

/* Version 1 for some controllers and version 2 for others: the least quota counts. */
static void test_both(void) {
    put("/proc/self/cgroup", "4:cpu,cpuacct:/\n0::/\n");
    put("/proc/self/mountinfo", MOUNT_2 MOUNT_1);
    put("/sys/fs/cgroup/cpu.max", "250000 100000\n");
    check(2.5);
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    check(1);
    forget();
}

static void test_long_names(void) {
    static char line[8000], name[6000];
    memset(name, 'a', sizeof name - 1);
    snprintf(line, sizeof line, "0::/%s\n", name);
    put("/proc/self/cgroup", line);
    put("/proc/self/mountinfo", MOUNT_2);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    check(1);
    forget();
}

static void test_affinity(void) {
    CHECK(nnrt_processors_allowed(tree) == 0);
    put("/proc/self/status", "Name:\tdigits\nCpus_allowed_list:\t0-3\n");
    CHECK(nnrt_processors_allowed(tree) == 0);
    put("/proc/self/status", "Name:\tdigits\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n");
    CHECK(nnrt_processors_allowed(tree) == 2);
    put("/proc/self/status", "Cpus_allowed:\t00000081,00000000,7fffffff\n");
    CHECK(nnrt_processors_allowed(tree) == 33);
    forget();
    int all = nnrt_processors();
    CHECK(all >= 1 && all <= sysconf(_SC_NPROCESSORS_ONLN));
#ifdef CPU_SET
    cpu_set_t before, one;
    if (sched_getaffinity(0, sizeof before, &before) != 0)
        return;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0 && nnrt_processors() == 1);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0 && nnrt_processors() == all);
#endif
}

int main(void) {
    snprintf(tree, sizeof tree, "/tmp/nnrt_processors_XXXXXX");
    if (!mkdtemp(tree))
        return 1;
    test_nothing();
    test_version_2();
    test_version_1();
    test_mounted_group();
    test_both();
    test_long_names();
    test_affinity();
    rmdir(tree);
    return test_report();
}
