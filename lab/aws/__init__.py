"""From the lab to real AWS and back.

An ``Order`` (``model``) becomes one CloudFormation stack, and the stack an endpoint that is
asked, measured and removed. Open ``push.workflow`` first: it tells a push from end to end.
``access`` is the only way to AWS; ``stack`` makes and removes; ``measure`` counts; ``emulator``
is the same for the lab's own emulator.
"""
