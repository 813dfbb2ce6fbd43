"""What a call may use: API keys, budgets, circuit breakers, credentials, callable models."""
