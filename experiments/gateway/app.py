"""The ASGI application below /v1/: calls in every protocol, and the list of models."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

import aiohttp

from experiments.access.cors import preflight_headers
from experiments.core.text import find_unstorable, is_storable
from experiments.gateway import stored_responses
from experiments.gateway.asgi import (
    OPENAI_ERRORS,
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
from experiments.gateway.model_list import anthropic_listing, listing
from experiments.gateway.native_client import shared_clients
from experiments.gateway.openai_client import new_session
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.protocols.embeddings import read_embeddings
from experiments.gateway.protocols.messages import error_body, read_messages
from experiments.gateway.protocols.model_call import ModelCall
from experiments.gateway.protocols.responses import SESSION_HEADERS, continued, read_responses
from experiments.gateway.protocols.responses import error_event as responses_error_event
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
from experiments.gateway.token_counts import count_tokens, counting_upstream
from experiments.gateway.transport_security import security_headers
from experiments.models import Scope as KeyScope

log = logging.getLogger("switchyard.gateway")

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
MODELS = "/v1/models"
SESSION_HEADER = "x-session-id"
CHECKED_HEADERS = (
    *(*KEY_HEADERS, SESSION_HEADER),
    *("anthropic-version", "anthropic-beta", *SESSION_HEADERS),
)
ANTHROPIC_ERRORS = ErrorForm(
    error_body, lambda error, request_id: named_event("error", error_body(error, request_id))
)
RESPONSES_ERRORS = ErrorForm(OPENAI_ERRORS.body, responses_error_event)
ERROR_FORMS = {MESSAGES: ANTHROPIC_ERRORS, RESPONSES: RESPONSES_ERRORS}


def _read_chat(raw: bytes, request: Request) -> ModelCall:
    return read_chat(raw, request.headers.get(SESSION_HEADER))


def _read_messages(raw: bytes, request: Request) -> ModelCall:
    return read_messages(raw, request.headers.get(SESSION_HEADER), request.headers)


def _read_responses(raw: bytes, request: Request) -> ModelCall:
    return read_responses(raw, request.headers.get(SESSION_HEADER), request.headers)


def _read_embeddings(raw: bytes, request: Request) -> ModelCall:
    return read_embeddings(raw, request.headers.get(SESSION_HEADER))


CALLS: dict[str, Callable[[bytes, Request], ModelCall]] = {
    CHAT: _read_chat,
    MESSAGES: _read_messages,
    RESPONSES: _read_responses,
    EMBEDDINGS: _read_embeddings,
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
            request.error_form = _error_form(request.path)
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
        elif path == COUNT_TOKENS:
            _require(method, "POST")
            await self._count_tokens(request)
        elif path.startswith(f"{RESPONSES}/"):
            await self._kept_response(request, path[len(RESPONSES) + 1 :])
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
        form = anthropic_listing if "anthropic-version" in request.headers else listing
        data = await self.db_worker.run(lambda: form(key(), name))
        await request.answer(200, data, {})

    async def _count_tokens(self, request: Request) -> None:
        secret, session = secret_of(request.headers), request.headers.get(SESSION_HEADER)
        call = read_messages(await request.body(), session, request.headers, counts_only=True)
        upstream = await self.db_worker.run(lambda: counting_upstream(secret, call))
        count = count_tokens(self._shared().native, call, upstream)
        await request.answer(200, *await request.unless_hung_up(count))

    async def _kept_response(self, request: Request, rest: str) -> None:
        """`GET` and `DELETE /v1/responses/{id}`, `GET …/input_items`, `POST …/cancel`."""
        response_id, _, below = unquote(rest).partition("/")
        secret, method = secret_of(request.headers), request.method
        if below == "cancel":
            _require(method, "POST")
            text = "Only background responses can be cancelled. Close the connection instead."
            raise CallerError(400, text, code="unsupported_parameter")
        if below not in ("", "input_items"):
            raise CallerError(404, f"There is nothing at {request.path}.", code="unknown_url")
        deletes = method == "DELETE" and not below
        if not deletes:
            _require(method, "GET")

        def work() -> dict[str, Any]:
            key = key_of(secret, KeyScope.ROUTE)
            if deletes:
                return stored_responses.delete(response_id, key.pk)
            kept = stored_responses.load(response_id, key.pk)
            return stored_responses.listed(kept.items) if below else kept.response

        await request.answer(200, await self.db_worker.run(work), {})

    async def _call(self, request: Request, read: Callable[[bytes, Request], ModelCall]) -> None:
        started = time.perf_counter()
        identify = _identify(request)
        call = read(await request.body(), request)
        if call.previous is not None:
            call = await self._continued(request, call, identify)
        shared = self._shared()
        admitted = await self.db_worker.admit(call_factory(call, identify, request.id))
        execution = CallExecution(call, admitted, shared)
        try:
            execution.recorder = recorder_for(call, admitted)
            if stored_responses.is_kept(call, admitted):
                execution.keeper = partial(self._keep, call, admitted.charge.key_id)
            await request.unless_hung_up(_answer(request, execution, started))
        except Exception as error:
            if request.has_begun or isinstance(error, ClientDisconnectedError):
                raise
            await _refuse(request, execution, error, started)
        finally:
            self._settle(execution)

    async def _continued(
        self, request: Request, call: ModelCall, identify: Callable[[], Principal]
    ) -> ModelCall:
        """The call with the conversation of the kept response before it."""
        previous = call.previous or ""

        def look() -> stored_responses.KeptResponse:
            return stored_responses.load(previous, identify().rules.key_id)

        kept = await self.db_worker.run(look)
        session = request.headers.get(SESSION_HEADER)
        return continued(call, kept.conversation, session, request.headers)

    async def _keep(self, call: ModelCall, key_id: int, response: dict[str, Any]) -> None:
        """The client gets its answer even if it cannot be kept."""
        try:
            await self.db_worker.run(lambda: stored_responses.keep(call, response, key_id))
        except Exception:
            log.exception("A response could not be kept")

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


def _error_form(path: str) -> ErrorForm:
    forms = (form for start, form in ERROR_FORMS.items() if path.startswith(start))
    return next(forms, OPENAI_ERRORS)


def _require(method: str, allowed: str) -> None:
    if method != allowed:
        raise CallerError(
            405, f"Use {allowed} here.", code="method_not_allowed", headers={"Allow": allowed}
        )


def _require_storable(request: Request) -> None:
    """Refuses a path or header with characters that the database cannot store, and names it."""
    for name, text in _texts(request):
        if not is_storable(text) and (found := find_unstorable({name: text})):
            raise CallerError(400, f"'{name}' {found}", code=found.code, param=name)


def _texts(request: Request) -> Iterator[tuple[str, str]]:
    yield "path", unquote(request.path)
    for name in CHECKED_HEADERS:
        yield name, request.headers.get(name, "")
    yield from session_cookie(request.scope)


gateway = Gateway()
