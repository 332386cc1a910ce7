"""The numeric core: arrays in, row numbers out; no files, keys or jobs."""
