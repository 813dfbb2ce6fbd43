"""gunicorn's settings: everything is loaded once, then shared by the workers."""

import os
import resource
import subprocess
import sys
import threading

from django.core.exceptions import ImproperlyConfigured

try:
    from routing_site import settings
except ImproperlyConfigured as error:
    sys.exit(str(error))

wsgi_app = "routing_site.asgi"
bind = f"{settings.HOST}:{settings.PORT}"
workers = settings.WEB_CONCURRENCY or len(os.sched_getaffinity(0))
worker_class = "routing_site.worker.Worker"
keepalive = 65
preload_app = True
accesslog = None
control_socket_disable = True  # nothing here uses it, and its path is shared by all servers


def _allow_open_files(wanted: int) -> None:
    """Up to the system's limit for this user. Each connection may need one to a provider."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


_allow_open_files(2 * settings.WEB_CONNECTIONS + 1024)


def when_ready(server: object) -> None:
    """Loads routers and detector before the fork, and closes all connections."""
    from experiments.logs import leave_out_unused  # noqa: PLC0415 - as is the next
    from routing_site.warm_up import warm_up  # noqa: PLC0415 - needs Django to be set up

    leave_out_unused()
    try:
        warm_up()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    if settings.BACKGROUND_TASKS:
        _start_background()


def on_exit(server: object) -> None:
    _stopped.set()
    for process in _background:
        process.terminate()
        process.wait()


LOOK_SECONDS = 1.0
_background: list["subprocess.Popen[bytes]"] = []
_stopped = threading.Event()


def _start_background() -> None:
    """What is queued runs in a process of its own, which ends with this one. If it ends before,
    another one starts."""
    _background[:] = [_run_tasks()]
    threading.Thread(target=_keep_running, name="background", daemon=True).start()


def _run_tasks() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "routing_site", "run_tasks", "--with-parent"])


def _keep_running() -> None:
    while not _stopped.wait(LOOK_SECONDS):
        if _background[0].poll() is not None and not _stopped.is_set():
            _background[:] = [_run_tasks()]
