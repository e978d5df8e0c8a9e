"""Kafka: every retained record by partition and offset, topics, and the groups' positions.

`descriptor`; `broker` asks a cluster; `reader`, with `ranges` of offsets and `records` as lines. What writes:
`keeper`, with `admin`.
"""
