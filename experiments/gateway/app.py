"""The ASGI application below /v1/: chat completions, messages and the list of models."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import unquote

import aiohttp

from experiments.access.cors import preflight_headers
from experiments.core.text import find_unstorable
from experiments.gateway.asgi import (
    ClientDisconnectedError,
    ErrorForm,
    Receive,
    Request,
    Scope,
    Send,
)
from experiments.gateway.call_request import (
    KEY_HEADERS,
    Principal,
    by_key,
    call_factory,
    key_of,
    secret_of,
)
from experiments.gateway.client_answers import answer_in_form, stream_of
from experiments.gateway.db_worker import DatabaseWorker
from experiments.gateway.error_responses import answer_to
from experiments.gateway.errors import CallerError
from experiments.gateway.execution import CallExecution, SharedClients
from experiments.gateway.model_list import listing
from experiments.gateway.native_client import shared_clients
from experiments.gateway.openai_client import new_session
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.protocols.messages import error_body, read_messages
from experiments.gateway.protocols.model_call import ModelCall
from experiments.gateway.response_headers import (
    OWN_KEY,
    error_headers,
    explanation,
    wants_explanation,
)
from experiments.gateway.session_auth import by_session, has_session, session_cookie
from experiments.gateway.shadow_capture import recorder_for
from experiments.gateway.sse import named_event
from experiments.gateway.streaming import answer_stream, answer_whole
from experiments.gateway.transport_security import security_headers
from experiments.models import Scope as KeyScope

log = logging.getLogger("switchyard.gateway")

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
MODELS = "/v1/models"
SESSION_HEADER = "x-session-id"
CHECKED_HEADERS = (*KEY_HEADERS, SESSION_HEADER, "anthropic-version", "anthropic-beta")
ANTHROPIC_ERRORS = ErrorForm(
    error_body, lambda error, request_id: named_event("error", error_body(error, request_id))
)


def _read_chat(raw: bytes, request: Request) -> ModelCall:
    return read_chat(raw, request.headers.get(SESSION_HEADER))


def _read_messages(raw: bytes, request: Request) -> ModelCall:
    return read_messages(raw, request.headers.get(SESSION_HEADER), request.headers)


CALLS: dict[str, Callable[[bytes, Request], ModelCall]] = {
    CHAT: _read_chat,
    MESSAGES: _read_messages,
}


class Gateway:
    """One per process."""

    def __init__(self) -> None:
        self.db_worker = DatabaseWorker()
        self._session: aiohttp.ClientSession | None = None
        self._surroundings: SharedClients | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            request.always = security_headers(scope)
            if request.path.startswith(MESSAGES):
                request.error_form = ANTHROPIC_ERRORS
            await self._route(request)
        except ClientDisconnectedError:
            return
        except Exception as error:
            answer = answer_to(error)
            if not request.has_begun:
                await request.answer_error(answer, {}, {})

    async def close(self) -> None:
        """Records the outcomes of ended calls and closes connections."""
        await asyncio.to_thread(self.db_worker.close)
        if self._session is not None:
            await self._session.close()

    async def _route(self, request: Request) -> None:
        if (allowed := preflight_headers(request.method, request.headers)) is not None:
            await request.answer_nothing(allowed)
            return
        _require_storable(request)
        path, method = request.path.rstrip("/"), request.method
        if read := CALLS.get(path):
            _require(method, "POST")
            await self._call(request, read)
        elif path == MODELS or path.startswith(f"{MODELS}/"):
            _require(method, "GET")
            await self._models(request, unquote(path[len(MODELS) + 1 :]))
        else:
            known = ", ".join((*CALLS, MODELS))
            text = f"There is nothing at {request.path}. There are {known}."
            raise CallerError(404, text, code="unknown_url")

    async def _models(self, request: Request, name: str) -> None:
        secret = secret_of(request.headers)
        key = partial(key_of, secret, KeyScope.ROUTE, KeyScope.READ)
        data = await self.db_worker.run(lambda: listing(key(), name))
        await request.answer(200, data, {})

    async def _call(self, request: Request, read: Callable[[bytes, Request], ModelCall]) -> None:
        started = time.perf_counter()
        identify = _identify(request)
        call = read(await request.body(), request)
        shared = self._shared()
        admitted = await self.db_worker.admit(call_factory(call, identify, request.id))
        execution = CallExecution(call, admitted, shared)
        try:
            execution.recorder = recorder_for(call, admitted)
            await request.unless_hung_up(_answer(request, execution, started))
        except Exception as error:
            if request.has_begun or isinstance(error, ClientDisconnectedError):
                raise
            await _refuse(request, execution, error, started)
        finally:
            self._settle(execution)

    def _settle(self, execution: CallExecution) -> None:
        try:
            self.db_worker.settle(execution.settlement())
        except Exception:
            decision_id = execution.admitted.decision.pk
            log.exception("A call has no outcome", extra={"decision_id": str(decision_id)})
            self.db_worker.give_up(decision_id)

    def _shared(self) -> SharedClients:
        """Connections belong to the event loop that runs when the first call arrives."""
        if self._surroundings is None:
            self._session = new_session()
            self._surroundings = shared_clients(self._session)
        return self._surroundings


def _identify(request: Request) -> Callable[[], Principal]:
    """Authenticates by API key or, without one, by the session of a user of the chat page."""
    sends_key = any(name in request.headers for name in KEY_HEADERS)
    if not sends_key and has_session(request.scope):
        return partial(by_session, request.scope)
    return partial(by_key, secret_of(request.headers))


async def _answer(request: Request, execution: CallExecution, started: float) -> None:
    try:
        if execution.call.streams:
            await answer_stream(request, execution, started, stream_of)
        else:
            await answer_whole(request, execution, started, answer_in_form)
    finally:
        await execution.close()


async def _refuse(
    request: Request, execution: CallExecution, error: Exception, started: float
) -> None:
    """The error of an admitted call names its decision, as a successful response does."""
    answer = answer_to(error)
    elapsed = (time.perf_counter() - started) * 1e3
    own = {OWN_KEY: explanation(execution)} if wants_explanation(request) else {}
    await request.answer_error(answer, error_headers(execution, elapsed), own)


def _require(method: str, allowed: str) -> None:
    if method != allowed:
        raise CallerError(
            405, f"Use {allowed} here.", code="method_not_allowed", headers={"Allow": allowed}
        )


def _require_storable(request: Request) -> None:
    """Refuses a path or header with characters that the database cannot store, and names it."""
    for name, text in _texts(request):
        if found := find_unstorable({name: text}):
            raise CallerError(400, f"'{name}' {found}", code=found.code, param=name)


def _texts(request: Request) -> Iterator[tuple[str, str]]:
    yield "path", unquote(request.path)
    for name in CHECKED_HEADERS:
        yield name, request.headers.get(name, "")
    yield from session_cookie(request.scope)


gateway = Gateway()
