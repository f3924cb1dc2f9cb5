"""Micrographs in gray levels: specimens, how a microscope shows them, and what models may see of that."""
