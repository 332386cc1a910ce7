"""Bytes to samples, one at a time, in processes that may be killed."""
