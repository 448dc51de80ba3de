"""Histories of other tools, read into timeline events. Pure: lines go in, items come out, nothing is opened or sent."""
