"""The results of the lab as text, for pages, commands and the REST API."""
