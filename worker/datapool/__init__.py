"""What earlier jobs have kept, in the bucket: append-only increments whose fold is the state."""
