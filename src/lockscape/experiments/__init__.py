"""Experiments on the simulated machine: one run, curves over processors, a lock taken out."""
