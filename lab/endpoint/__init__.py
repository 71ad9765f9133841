"""The SageMaker emulator's behaviour, without HTTP: states, fleets, routing, limits."""
