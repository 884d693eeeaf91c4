"""What a kernel's source says: trees, the lock census (Table 2) and the footprint (Table 3)."""
