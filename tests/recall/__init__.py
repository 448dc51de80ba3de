"""How much of the evidence for a question a search brings up, judged by no model. `python -m recall`."""
