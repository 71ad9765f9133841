"""The hosting contract, rule by rule, tried against a running image.

``check`` runs the rules in sections; a rule is its words in ``rules.yaml``, a function that tries
and a pure one that judges, in ``rules``. ``running`` starts and asks containers,
``lab.images.layers`` reads the image itself, ``reports`` prints.
"""
