"""Kafka: every retained record by partition and offset, topics, and the groups' positions.

`descriptor`; `view`, `content`, `export`, with `ranges` of offsets and `records` as lines. The `inventory` of
topics and groups, and their `positions`. Of a broker: its `upkeep` (records that it removes by itself), and
the `relay` to it in another network. `recognition` for `init`. What writes: `keeper`,
with `admin`.
"""
