"""Who is asking, and how far that reaches: what every door that checks credentials shares."""
