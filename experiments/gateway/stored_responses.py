"""Responses kept for `previous_response_id`: encrypted, for a limited time, for their key alone.

A response is kept if its domain stores the text of prompts and the client does not object."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.utils import timezone

from experiments.gateway.admission import Admitted
from experiments.gateway.errors import CallerError
from experiments.gateway.protocols.model_call import Body, ModelCall
from experiments.gateway.protocols.responses_to_chat import items_of
from experiments.models import StoredResponse
from experiments.storage.encryption import SealBrokenError, seal, unseal
from experiments.storage.transactions import run_transaction

STORES_TEXT = "text"


class KeptResponse(NamedTuple):
    """`items` are the conversation up to the response, without its own output."""

    items: list[Body]
    response: Body

    @property
    def conversation(self) -> list[Body]:
        return [*self.items, *self.response["output"]]


def is_kept(call: ModelCall, admitted: Admitted) -> bool:
    """Whether the response to this call is kept. OpenAI's clients expect it unless they say no."""
    domain = admitted.policy.domains[admitted.decision.domain]
    is_asked = call.stores is not False and admitted.charge.key_id > 0
    return call.keeps_responses and is_asked and domain.prompt_storage == STORES_TEXT


def keep(call: ModelCall, response: Body, key_id: int) -> None:
    """Stores the response. Runs in the database thread."""
    now = timezone.now()
    data = orjson.dumps({"items": items_of(call.body), "response": response})
    row = StoredResponse(
        response_id=response["id"], key_id=key_id, created_at=now, sealed=seal(data, now)
    )
    run_transaction(lambda: row.save(force_insert=True))


def load(response_id: str, key_id: int) -> KeptResponse:
    """One query. Raises CallerError if the response is not kept."""
    row = StoredResponse.objects.filter(response_id=response_id, key_id=key_id).first()
    if row is None:
        raise _not_kept(response_id)
    try:
        data = orjson.loads(unseal(row.sealed, _longest()))
    except SealBrokenError:
        raise _not_kept(response_id) from None
    return KeptResponse(data["items"], data["response"])


def delete(response_id: str, key_id: int) -> dict[str, Any]:
    """Raises CallerError."""
    found = StoredResponse.objects.filter(response_id=response_id, key_id=key_id)
    if not run_transaction(lambda: found.delete()[0]):
        raise _not_kept(response_id)
    return {"id": response_id, "object": "response", "deleted": True}


def listed(items: list[Body]) -> dict[str, Any]:
    """The items of a conversation as a list of OpenAI's."""
    named = [
        item if item.get("id") else {**item, "id": f"item_{n}"} for n, item in enumerate(items)
    ]
    ends = {"first_id": named[0]["id"], "last_id": named[-1]["id"]} if named else {}
    return {"object": "list", "data": named, "has_more": False, **ends}


def prune(now: datetime) -> int:
    """Deletes what has been kept long enough; returns how many."""
    expired = StoredResponse.objects.filter(created_at__lt=now - _longest())
    return run_transaction(lambda: expired.delete()[0])


def _longest() -> timedelta:
    return timedelta(days=settings.RESPONSE_RETENTION_DAYS)


def _not_kept(response_id: str) -> CallerError:
    return CallerError(
        404,
        f"The response '{response_id}' is not kept here. Responses are kept for "
        f"{settings.RESPONSE_RETENTION_DAYS} days if their domain stores the text of prompts; "
        "otherwise send the whole conversation as 'input'.",
        code="previous_response_not_found",
        param="previous_response_id",
    )
