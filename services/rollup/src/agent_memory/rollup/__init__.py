"""Segments to table of contents."""
