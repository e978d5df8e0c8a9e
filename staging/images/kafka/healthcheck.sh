#!/bin/sh
# Healthy: the broker lists its topics, which it reads from its log's storage.
exec timeout 8 tansu topic list --broker tcp://127.0.0.1:9092
