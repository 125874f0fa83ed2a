// What Swift's Glibc module does not import: epoll, eventfd, accept4, fallocate, CRC-32C and C variadics.
#ifndef CLINUX_H
#define CLINUX_H

#include "options.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <pthread.h>
#include <unistd.h>

static inline int clinux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int clinux_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return epoll_ctl(epoll, operation, descriptor, &event);
}

// Waits for readiness; writes the token and the event mask of each ready descriptor. `capacity` is at most 256.
static inline int clinux_epoll_wait(int epoll, uint64_t *tokens, uint32_t *masks, int capacity, int timeout_ms) {
    struct epoll_event events[256];
    if (capacity > 256) capacity = 256;
    int count = epoll_wait(epoll, events, capacity, timeout_ms);
    for (int i = 0; i < count; i++) {
        tokens[i] = events[i].data.u64;
        masks[i] = events[i].events;
    }
    return count;
}

static inline int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

// accept4 with SOCK_CLOEXEC and SOCK_NONBLOCK.
int clinux_accept(int listener);

static inline int clinux_signalfd(const sigset_t *set) { return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK); }

static inline int clinux_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, mode); }

static inline int clinux_fcntl_int(int descriptor, int command, int value) { return fcntl(descriptor, command, value); }

// At most 15 bytes are kept.
void clinux_name_thread(const char *name);

static inline int clinux_window_columns(int descriptor) {
    struct winsize size;
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// CRC-32C (Castagnoli), reflected, initial and final XOR 0xFFFFFFFF; RFC 3720 appendix B.4 has test values.
uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count);

#endif
