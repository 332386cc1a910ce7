"""One embedding model a file; the folder is the registry."""
