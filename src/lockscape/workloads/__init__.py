"""What is run: streams of a workload's own operations, and the system calls that they make."""
