"""What suite own is made of: anybody's images, a table that says what is to be predicted, and models for these."""
