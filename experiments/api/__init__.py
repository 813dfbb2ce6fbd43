"""The REST API: each view validates the input, calls one service and formats the output."""
