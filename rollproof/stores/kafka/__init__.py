"""Kafka: every retained record by partition and offset, topics, and the groups' positions.

`broker` asks a cluster; `reader` with `ranges` of offsets, `positions` and `records`
as lines; `retention` is what a broker removes by itself. What writes: `keeper`, with `admin`.
"""
