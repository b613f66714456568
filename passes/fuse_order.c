/* The order of the groups of the fuse pass, in which each comes after what it reads, and the ways through it: a merge
 * must not close a cycle through a third group. */
#include "passes/fuse_groups.h"
#include <limits.h>

/* Puts the readers of a group on the stack that come before the place `end` and were not seen on this walk. */
static int push_readers(FuseGroups *g, int group, int apart_from, int end, int *stack, int count) {
    for (int i = group; i >= 0; i = g->next[i])
        for (int r = 0; r < g->readers[i].count; r++) {
            int reader = fuse_owner(g, g->readers[i].items[r]);
            if (reader != group && reader != apart_from && g->place[reader] < end && g->seen[reader] != g->walk) {
                g->seen[reader] = g->walk;
                stack[count++] = reader;
            }
        }
    return count;
}

/* The same of what it reads. */
static int push_producers(FuseGroups *g, int group, int *stack, int count) {
    for (int i = group; i >= 0; i = g->next[i])
        for (int p = 0; p < g->producers[i].count; p++) {
            int producer = fuse_owner(g, g->producers[i].items[p]);
            if (producer != group && g->seen[producer] != g->walk) {
                g->seen[producer] = g->walk;
                stack[count++] = producer;
            }
        }
    return count;
}

bool fuse_reaches(FuseGroups *g, int from, int to) {
    if (g->place[from] > g->place[to])
        return false;
    g->walk++;
    int end = g->place[to] + 1, count = push_readers(g, from, to, end, g->stack, 0);
    while (count && g->seen[to] != g->walk) {
        int group = g->stack[--count];
        count = push_readers(g, group, -1, end, g->stack, count);
    }
    return g->seen[to] == g->walk;
}

static void put_at(FuseGroups *g, int place, int group) {
    g->at[place] = group;
    if (group >= 0)
        g->place[group] = place;
}

void fuse_join_places(FuseGroups *g, int a, int b, int merged) {
    int first = g->place[a] < g->place[b] ? a : b, second = first == a ? b : a;
    int from = g->place[first], end = g->place[second], kept = from, moved = 0;
    g->walk++;
    int count = push_readers(g, first, -1, end, g->stack, 0);
    if (count == 0) {
        put_at(g, from, -1);
        put_at(g, end, merged);
        return;
    }
    while (count) {
        int group = g->stack[--count];
        count = push_readers(g, group, -1, end, g->stack, count);
    }
    for (int place = from + 1; place < end; place++) {
        int group = g->at[place];
        if (group < 0)
            continue;
        if (g->seen[group] == g->walk)
            g->stack[moved++] = group;
        else
            put_at(g, kept++, group);
    }
    put_at(g, kept++, merged);
    for (int i = 0; i < moved; i++)
        put_at(g, kept++, g->stack[i]);
    while (kept <= end)
        put_at(g, kept++, -1);
}

void fuse_mark_tied(FuseGroups *g, int group) {
    g->walk++; /* next to it */
    int count = push_readers(g, group, -1, INT_MAX, g->stack, 0), readers = count;
    count = push_producers(g, group, g->stack, count);
    int *next = g->stack + g->count; /* for the walk */
    g->walk++;
    for (int i = 0; i < count; i++) {
        bool forwards = i < readers;
        int waiting = 0;
        next[waiting++] = g->stack[i];
        while (waiting) {
            int at = next[--waiting];
            waiting = forwards ? push_readers(g, at, -1, INT_MAX, next, waiting) : push_producers(g, at, next, waiting);
        }
    }
}
