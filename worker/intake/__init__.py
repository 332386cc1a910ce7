"""What a job takes in: what is listed, which of it counts, and what earlier jobs have finished with."""
