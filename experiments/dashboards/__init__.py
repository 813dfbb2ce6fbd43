"""Pages: views, and figures as data."""
