"""What to take out of an image: a recorded start, what it read, whose that is, what it costs.

image -> recorded start (``recording``) -> contents (``contents``: files, packages, layers) ->
seconds -> advice -> slimmed image -> proof. Uses the cold starts' sites and the contract check.
"""
