"""An endpoint that speaks OpenAI's protocol: routes a chat call, has it answered, keeps the books.

`app` is where a call comes in; `db_worker` decides and stores in a thread of its own, because the
database blocks; everything else runs in the event loop and waits for providers there.
"""
