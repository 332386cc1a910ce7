"""The only place that touches bytes outside: buckets and folders behind one interface."""
