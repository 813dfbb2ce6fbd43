"""gunicorn's settings for `benchmarks.least_server`: the worker and settings of Switchyard."""

from routing_site.gunicorn_conf import bind, keepalive, worker_class, workers

__all__ = ["bind", "keepalive", "worker_class", "workers"]

wsgi_app = "benchmarks.least_server:application"
accesslog = None
control_socket_disable = True
preload_app = True
