"""What a model is: its layers as data, the arrays of a network, and the weights it may start from."""
