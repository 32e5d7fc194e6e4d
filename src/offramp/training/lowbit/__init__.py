"""Low-bit training: a few bits for the weights and activations of chosen convolutions."""
