"""What happens on the machine: from a job to a selection and its report."""

__version__ = "0.1.0"
