"""What text has to be for a database to take it."""


def storable(text: str) -> str:
    """Databases take neither the NUL character nor half a surrogate pair."""
    return text.replace("\x00", "").encode(errors="replace").decode()
