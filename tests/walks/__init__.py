"""How good the table of contents is, and how far one gets by walking it. Run it with `./run bench-timeline`."""
