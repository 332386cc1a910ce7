"""Upper bounds and blocks: how farthest-first and the product pick many rows for one look at all candidates."""
