"""A compose project that has no profile yet: its parts, and the profile that is proposed for it.

With the statements that make its stores' accounts.
"""
