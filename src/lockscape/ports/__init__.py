"""Ways to make the uniprocessor kernel multiprocessor: one file per method, one shared locking pass."""
