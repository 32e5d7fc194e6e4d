"""DIMEE: the tier is chosen before the network runs, from the mean of the input's embeddings."""
