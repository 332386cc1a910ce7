"""Videos: which of their frames are samples, and how these are reached without reading more than is needed."""
