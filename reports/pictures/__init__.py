"""The pictures of an incident, one module each. They import Matplotlib, which takes a second."""
