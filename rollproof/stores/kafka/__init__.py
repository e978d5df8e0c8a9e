"""Kafka: every retained record by partition and offset, topics, and the groups' positions.

`broker` asks a cluster; `view`, `content` with `ranges` of offsets and `positions`, `export` with `records`
as lines; `upkeep` is what a broker removes by itself. What writes: `keeper`, with `admin`.
"""
