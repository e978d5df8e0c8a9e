"""The machine and the network: clocks, files, processes, programs, HTTP, each with a deadline.

`command` starts all programs, and `side_by_side` runs all parts side by side. It also owns the steps, a
report's view of questions.
"""
