"""gunicorn finds its settings here when it starts in a checkout."""

from routing_site.gunicorn_conf import *  # noqa: F403
