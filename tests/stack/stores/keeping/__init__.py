"""What keeps the data of the stores and gives it back, held to one contract on real servers.

A store's subject, in the folder above, offers what `test_export_contract` and `test_keeper_contract` need.
What is true of one store alone is in ``test_<store>.py``. The store is the first parameter of every test
here, so that its tests can be handed out together.
"""
