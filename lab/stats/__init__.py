"""Statistics that promise no more than the number of samples allows."""
