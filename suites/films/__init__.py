"""Polycrystalline thin films under plane stress: what suites about them share."""
