//! Event loops, listeners, disk threads, the clock and signals: where the core meets the operating system.
