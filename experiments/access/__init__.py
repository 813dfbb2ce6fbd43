"""Who may sign in, and which sites may call from a browser."""
