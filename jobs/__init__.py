"""What travels: the job contract. Needs neither torch nor numpy, so a backend can import it."""
