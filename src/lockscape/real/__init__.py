"""The same for real: this host, and real kernels in a full-system simulator."""
