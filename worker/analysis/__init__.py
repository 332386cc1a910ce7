"""Numbers about a selection or an embedding space; no drawing."""
