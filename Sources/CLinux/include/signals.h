// Signals as bytes in a pipe.
#ifndef CLINUX_SIGNALS_H
#define CLINUX_SIGNALS_H

// Lets each of the signals write its number into a pipe, on whatever thread it arrives. Once per process.
// Returns the pipe's reading end, non-blocking and close-on-exec; -1 with errno, EBUSY the second time.
int clinux_catch_signals(const int *numbers, int count);

#endif
