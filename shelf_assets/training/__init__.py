"""Training: what makes the weights that this project keeps. Using them belongs to `vision`."""
