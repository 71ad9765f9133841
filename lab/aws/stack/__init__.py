"""The one CloudFormation stack of an endpoint.

``template`` says what it holds, ``cloudformation`` makes and changes it, ``watch`` and
``events`` wait and explain, ``removal`` takes it away and proves it.
"""
