"""What `bench parity` is made of: whether a variant is the same model in two frameworks."""
