"""Exact nearest neighbours by products: vectors in cells, tiles of products, twins taken together."""
