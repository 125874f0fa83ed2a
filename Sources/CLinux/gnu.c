// Calls that glibc declares for _GNU_SOURCE only. The header must not define that name: Swift's own Glibc module is built
// without it, and the two views of the system headers would differ.
#define _GNU_SOURCE 1

#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>

#include "CLinux.h"

int clinux_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
