"""One selection strategy a file: its behaviour; its parameters are in jobs/selection.py."""
