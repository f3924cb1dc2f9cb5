"""How cells are run: laid out, given to workers, trained, exported and timed."""
