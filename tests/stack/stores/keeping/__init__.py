"""What keeps the data of the stores and gives it back, held to one contract on real servers.

`subject` says what a store has to offer; a module a store offers it; `registry` names them. A store that
is named there gets all of `test_export_contract` and `test_keeper_contract`. What is true of one store alone
is in ``test_<store>.py``. The store is the first parameter of every test here, so that its tests can be
handed out together.
"""
