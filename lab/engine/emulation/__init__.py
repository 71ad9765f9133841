"""Programs of another architecture: whether they run, by what, and how that is set up."""
