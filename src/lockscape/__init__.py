"""lockscape: a laboratory for multiprocessor ports of operating-system kernels."""

__version__ = "0.1.0"
