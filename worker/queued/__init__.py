"""What a queue adds to the steps of `runner.py`: tries, leases, what comes next, how jobs end, and finding what was lost."""
