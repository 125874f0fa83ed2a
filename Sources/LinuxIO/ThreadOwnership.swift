private import Glibc

extension SystemThread {
    /// The calling thread's stack is freed when it returns; nobody may join it.
    package static func detachCurrent() { pthread_detach(pthread_self()) }

    /// A write to a closed socket answers EPIPE in the calling thread and kills nothing. Leaves the process alone, so a
    /// library may call it in a thread of its own.
    package static func blockBrokenPipeSignal() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }
}
