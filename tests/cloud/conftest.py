"""Tests of a whole push need the AWS on this machine."""

from tests.cloud import fixtures

_aws = fixtures._aws
_models_read_once = fixtures._models_read_once
_names = fixtures._names
_stack = fixtures._stack
_upstream = fixtures._upstream
_world = fixtures._world
