"""One report section a file; the folder is the registry."""
