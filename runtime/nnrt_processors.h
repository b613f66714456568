/* How many processors this process may use at a time. Needs: nothing. Leaves: a number, at least 1. */
#ifndef NNRT_PROCESSORS_H
#define NNRT_PROCESSORS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Those of the affinity mask (taskset, cpusets), and no more than the quotas of the process' control groups pay for
 * (docker --cpus, CPUQuota of systemd). Elsewhere than on Linux: those of the machine. */
int nnrt_processors(void);

/* Processors in the affinity mask that PREFIX/proc/self/status tells; 0: it does not. */
int nnrt_processors_allowed(const char *prefix);

/* Processors that the quotas of the groups in PREFIX/proc/self/cgroup pay for; 0: there is no quota. The files that
 * those name are read below `prefix`, too: "", or a tree that a test has made. */
double nnrt_processors_quota(const char *prefix);

#ifdef __cplusplus
}
#endif
#endif
