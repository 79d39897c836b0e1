"""Training of the weights that this project ships. `models` uses them."""
