"""The 22 systems of Table 1 as models that run, and systems of the user's own: one declarative file each."""
