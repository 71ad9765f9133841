#!/bin/bash
exec multi-model-server --start --foreground \
  --mms-config /home/model-server/config.properties \
  --model-store /home/model-server/models --models linear=linear.mar
