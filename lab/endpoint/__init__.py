"""The SageMaker emulator's behaviour, without HTTP (that is ``services/endpoint``).

``emulator`` assembles it. ``control`` writes what is wanted to the ``store``; ``deploy`` brings
it about with ``pools`` of servers that ``launch`` starts; ``runtime`` takes the requests.
``live`` names what passes between them; ``client`` is the outside view.
"""
