"""The rehearsal stack: real stores, a small RAG application in two releases, and what is proved on them.

Its own modules are the command line.
"""
