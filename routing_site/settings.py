"""Settings. Each comes from the environment or `.env`; `.env.example` explains every one."""

from pathlib import Path

from experiments import __version__
from experiments.core.endpoints import USUAL_KEY_NAMES
from routing_site.cli import home
from routing_site.environment import Environment

PACKAGE_DIR = Path(__file__).resolve().parent.parent / "experiments"
HOME_DIR = home()

env = Environment(HOME_DIR / ".env")

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.needed("SECRET_KEY", "`make serve` writes .env with one; or set it yourself.")
ALLOWED_HOSTS = env.texts("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.texts("CSRF_TRUSTED_ORIGINS")
HTTPS = env.flag("HTTPS", False)

INSTALLED_APPS = [
    "experiments.apps.SwitchyardAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "experiments",
]

MIDDLEWARE = [
    "experiments.middleware.RequestIdMiddleware",
    "experiments.access.cors.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "experiments.middleware.ContentSecurityPolicyMiddleware",
    "experiments.middleware.UnknownAddressMiddleware",
    "experiments.middleware.StorableTextMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "routing_site.urls"
WSGI_APPLICATION = "routing_site.wsgi.application"
ASGI_APPLICATION = "routing_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PACKAGE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "experiments.dashboards.context.simulated",
            ],
        },
    },
]

# The demonstration has a database of its own, whatever DATABASE_URL says.
DEMONSTRATION = env.flag("DEMONSTRATION", False)
DEMONSTRATION_FILE = HOME_DIR / "demo.sqlite3"
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{HOME_DIR / 'db.sqlite3'}")}
if DEMONSTRATION:
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DEMONSTRATION_FILE),
    }
DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# How long a request waits for the database, or for a free thread, before it is answered with 503.
DATABASE_BUSY_SECONDS = env.number("DATABASE_BUSY_SECONDS", 5.0)
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"]["ENGINE"] = "experiments.storage.postgresql"
    DATABASES["default"].setdefault("OPTIONS", {})["limits"] = {
        "connect": env.number("DATABASE_CONNECT_SECONDS", 3.0),
        "statement": env.number("DATABASE_STATEMENT_SECONDS", 10.0),
        "lock": env.number("DATABASE_LOCK_SECONDS", 4.0),
        "idle_transaction": env.number("DATABASE_IDLE_TRANSACTION_SECONDS", 60.0),
    }
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue instead of failing with "database is locked"; readers never wait.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": DATABASE_BUSY_SECONDS,
        # A checkpoint waits for the disk, so the folding process does it. Without such a process a
        # request does, every 80 MB of log.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
        "PRAGMA wal_autocheckpoint=20000;",
    }
# Results that pages take long to compute. In memory, each process has its own.
CACHES = {"default": env.cache("CACHE_URL", "locmemcache://")}
CACHES["default"].setdefault("OPTIONS", {})["MAX_ENTRIES"] = 100_000
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
AUTHENTICATION_BACKENDS = ["experiments.access.login_backend.ThrottledBackend"]
# Failed logins of one account from one address in that time; 0: no limit.
LOGIN_FAILURES = env.whole("LOGIN_FAILURES", 5)
LOGIN_WINDOW_SECONDS = env.whole("LOGIN_WINDOW_SECONDS", 900, 1)
PROXY_COUNT = env.whole("PROXY_COUNT", 0)

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
DATE_FORMAT, DATETIME_FORMAT = "Y-m-d", "Y-m-d H:i"

STATIC_URL = "static/"
STATIC_ROOT = None  # nothing is collected: whitenoise serves the files from where they are
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "experiments.dashboards.finders.PlotlyFinder",
]
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = env.whole("HSTS_SECONDS", 3600 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["experiments.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["experiments.api.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["experiments.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["experiments.api.parsers.JSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["experiments.api.authentication.KeyThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "experiments.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Switchyard",
    "DESCRIPTION": "Decides, per prompt, which language model should answer.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "ExperimentStatus": "experiments.experimentation.shapes.STATUSES",
        "RoleEnum": "experiments.experimentation.shapes.ROLES",
        "MessageRole": "experiments.api.shapes.ROLES",
        "HealthStatus": "experiments.experimentation.shapes.HEALTH_STATUSES",
    },
}

# Trained checkpoints and uploaded outcomes. Every process needs the same folder.
LAB_DIR = env.text("LAB_DIR", str(HOME_DIR / "lab"))
# Delivers background tasks, if set; otherwise the database does.
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
CELERY_TASK_DEFAULT_QUEUE = "switchyard"  # a broker may serve others too
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # tasks are long: none is reserved behind another
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2}
# How long a task is held without a heartbeat before another process takes it over.
TASK_LEASE_SECONDS = env.number("TASK_LEASE_SECONDS", 120.0, 0.1)

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "experiments.logs.JSONFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {
        "switchyard": {"handlers": ["stderr"], "level": LOG_LEVEL, "propagate": True},
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}

# Switchyard's own
UNIT_HASH_KEY = env.text("UNIT_HASH_KEY")
PROVIDER_KEYS_DIRECTORY = env.text("PROVIDER_KEYS_DIRECTORY", "/run/secrets")
PROVIDER_KEY_NAMES = (*USUAL_KEY_NAMES, *env.texts("PROVIDER_KEY_NAMES"))
PROVIDER_PRIVATE_NETWORKS = env.networks("PROVIDER_PRIVATE_NETWORKS")
POLICY_REFRESH_SECONDS = env.number("POLICY_REFRESH_SECONDS", 1.0)
LEARNED_PARAMETER_HOURS = env.number("LEARNED_PARAMETER_HOURS", 24.0)
DECISION_RETENTION_DAYS = env.whole("DECISION_RETENTION_DAYS", 90)
# How long a response is kept for previous_response_id.
RESPONSE_RETENTION_DAYS = env.whole("RESPONSE_RETENTION_DAYS", 30, 1)
DEMO_API_KEY = env.text("DEMO_API_KEY")
API_KEY_REQUESTS_PER_MINUTE = env.whole("API_KEY_REQUESTS_PER_MINUTE", 0)
REDIS_URL = env.redis("REDIS_URL")  # leases of limits that all processes share
CHAT_BUDGET_PER_DAY = env.number("CHAT_BUDGET_PER_DAY", 5.0)
ROUTER_CLASSES = env.pairs("ROUTER_CLASSES")
RUNTIME_DIR = env.text("RUNTIME_DIR")
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS")
GATEWAY_KEEPALIVE_SECONDS = env.number("GATEWAY_KEEPALIVE_SECONDS", 15.0)
# Outcomes that wait in memory for the database; above it no call is let in.
GATEWAY_MAX_PENDING_OUTCOMES = env.whole("GATEWAY_MAX_PENDING_OUTCOMES", 10_000, 1)
# How long the heartbeat of a process on another machine stays the same before it counts as dead.
PROCESS_DEAD_SECONDS = env.number("PROCESS_DEAD_SECONDS", 120.0, 30.0)
GATEWAY_MAX_BODY_BYTES = env.whole("GATEWAY_MAX_BODY_BYTES", 20 * 1024 * 1024)

# The web server's, read by gunicorn.conf.py
HOST = env.text("HOST", "127.0.0.1")
PORT = env.whole("PORT", 8000, 1, 65_535)
WEB_CONCURRENCY = env.whole("WEB_CONCURRENCY", 0)
WEB_THREADS = env.whole("WEB_THREADS", 8, 1)
WEB_CONNECTIONS = env.whole("WEB_CONNECTIONS", 1000, 1)
REQUEST_HEADER_SECONDS = env.number("REQUEST_HEADER_SECONDS", 10.0, 0.1)
REQUEST_BODY_SECONDS = env.number("REQUEST_BODY_SECONDS", 30.0, 0.1)
RESPONSE_WRITE_SECONDS = env.number("RESPONSE_WRITE_SECONDS", 60.0, 0.1)
READINESS_SECONDS = env.number("READINESS_SECONDS", 3.0, 0.1)
BACKGROUND_TASKS = env.flag("BACKGROUND_TASKS", True)

env.close()
