"""A method for lockscape: the name cache in parts, each with a lock of its own."""
