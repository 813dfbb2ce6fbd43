"""The REST API: shape of the input, one service call, shape of the output."""
