"""Report blocks to figures, HTML and PDF."""
