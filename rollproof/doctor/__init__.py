"""Everything a target needs, asked side by side: machine, engine, accounts, records. Changes nothing.

A baseline is captured where it is all there, as the canary too.
"""
