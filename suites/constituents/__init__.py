"""Micrographs with classes, made by rule: constituents as steel has them, and patches of which few are defects."""
