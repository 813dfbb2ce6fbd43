"""The OpenAI-compatible endpoint: routes a chat call, runs it and records its outcome.

`app` receives the call; `db_worker` decides and stores in its own thread, because the database
blocks; everything else runs in the event loop and waits for providers there."""
