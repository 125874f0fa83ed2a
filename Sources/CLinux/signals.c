#define _GNU_SOURCE
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static int writing_end = -1;

static void on_signal(int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe holds enough of them already.
    if (write(writing_end, &byte, 1) < 0) {}
    errno = saved;
}

int clinux_catch_signals(const int *numbers, int count) {
    if (writing_end != -1) {
        errno = EBUSY;
        return -1;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return -1;
    writing_end = ends[1];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) {
        if (sigaction(numbers[i], &action, NULL) < 0) return -1;
        sigaddset(&set, numbers[i]);
    }
    // A parent may have left them blocked.
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return ends[0];
}
