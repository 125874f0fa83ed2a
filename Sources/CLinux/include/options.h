// glibc's getopt_long without its globals, which Swift does not let pass.
#ifndef CLINUX_OPTIONS_H
#define CLINUX_OPTIONS_H

#include <getopt.h>
#include <stddef.h>

// Begins a new scan; getopt prints nothing itself.
static inline void clinux_getopt_reset(void) {
    optind = 0;
    opterr = 0;
}

// One step of getopt_long: also gives the option's value, the index of the next argument, and the faulty option.
static inline int clinux_getopt_long(int argc, char **argv, const char *letters, const struct option *table,
                                     const char **value, int *next, int *faulty) {
    int code = getopt_long(argc, argv, letters, table, NULL);
    *value = optarg;
    *next = optind;
    *faulty = optopt;
    return code;
}

#endif
