"""Make columns of the records of a run: its phases' samples, and the Arrow table of all of them."""
