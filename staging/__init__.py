"""The rehearsal stack: real stores, a small RAG application in two releases, and the rehearsal itself."""
