"""Getting a history from files into a server: sources are opened here, events sent; what they say is read by `importers`."""
