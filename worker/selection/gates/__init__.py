"""Which candidates may still be picked, so that quotas, sizes and sums are kept in the end."""
