"""gunicorn's settings as shipped, with a line in MODULE_LOG for each request: the modules it
imported."""

import json
import os
import sys
from pathlib import Path
from typing import Any

_shipped = Path.cwd() / "gunicorn.conf.py"
__file__ = str(_shipped)
exec(compile(_shipped.read_text(), __file__, "exec"), globals())


def pre_request(worker: Any, request: Any) -> None:
    worker.modules_before = set(sys.modules)


def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
    line = {
        "path": request.path,
        "worker": os.getpid(),
        "master": os.getppid(),
        "imported": sorted(set(sys.modules) - worker.modules_before),
        "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    }
    with Path(os.environ["MODULE_LOG"]).open("a") as log:
        log.write(json.dumps(line) + "\n")
