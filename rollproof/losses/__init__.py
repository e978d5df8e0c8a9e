"""A restore's losses: records written since the backup, exported before the restore, accounted for after.

Stores are read with the reader account, or exported with the operator's if no reader may export. Files are
written to the incident's folder alone.
"""
