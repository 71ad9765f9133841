"""A model in several sizes: what each costs, and from which on a start waits for the table."""
