"""The experiment for real: on this host, and on real kernels in a full-system simulator."""
