"""Endpoints on AWS are loaded on the AWS of this machine."""

from tests.cloud import fixtures

_models_read_once = fixtures._models_read_once
_upstream = fixtures._upstream
_world = fixtures._world
