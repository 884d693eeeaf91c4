"""What a program runs on: processors, locks, cache lines, devices; the engine; the fault detector."""
