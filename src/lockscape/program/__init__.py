"""The language of the simulator: objects, steps, sections, functions, listing, binary form."""
