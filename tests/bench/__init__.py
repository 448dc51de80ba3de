"""Figures: how fast the whole system is on this machine, beside what its servers can do alone. `python -m bench --list`."""
