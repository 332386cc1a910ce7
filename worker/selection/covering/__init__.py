"""What narrows the interval of the smallest covering radius: better centres, and proofs that none are much better."""
