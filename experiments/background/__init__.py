"""Work outside of requests: the task queue, Celery, leases and periodic jobs."""
