"""A client of the REST API that validates every response against the OpenAPI document."""

import re
from typing import Any, NamedTuple

import jsonschema
import orjson
from django.http import HttpResponse
from django.test import Client

from experiments.models import APIKey

Document = dict[str, Any]


class Answer(NamedTuple):
    status: int
    data: Any
    headers: Any

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.data["error"]
        return error

    @property
    def fault(self) -> tuple[int, str | None, str]:
        """Status, field and code of an error."""
        return self.status, self.error["param"], self.error["code"]


class API:
    """Makes calls like an application, with a key of these scopes."""

    def __init__(self, document: Document, secret: str | None) -> None:
        self.document = document
        self.client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def get(self, path: str, **query: str) -> Answer:
        return self._checked("get", path, self.client.get(path, query, headers=self.headers))

    def post(self, path: str, body: Any) -> Answer:
        return self.send(path, orjson.dumps(body))

    def patch(self, path: str, body: Any) -> Answer:
        data = orjson.dumps(body)
        response = self.client.patch(path, data, "application/json", headers=self.headers)
        return self._checked("patch", path, response)

    def send(self, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        """Posts bytes unchanged."""
        response = self.client.post(path, body, content_type, headers=self.headers)
        return self._checked("post", path, response)

    def route(self, text: str = "What is the capital of France?", **fields: Any) -> Any:
        """A stored decision, as it was returned."""
        answer = self.post("/api/v1/route", {"text": text, **fields})
        assert answer.status == 201, answer.data
        return answer.data

    def _checked(self, method: str, path: str, response: Any) -> Answer:
        check_documented(self.document, method, path, response)
        data = orjson.loads(response.content) if response.content else None
        return Answer(response.status_code, data, response.headers)


def check_documented(document: Document, method: str, path: str, response: HttpResponse) -> None:
    """Fails unless the document lists this status for this endpoint, and the body matches its
    schema."""
    template = next(t for t in document["paths"] if re.fullmatch(_pattern(t), path))
    operation = document["paths"][template][method]
    documented = operation["responses"][str(response.status_code)]
    if "content" not in documented:
        assert not response.content
        return
    schema = documented["content"]["application/json"]["schema"]
    jsonschema.validate(
        orjson.loads(response.content), {**schema, "components": document["components"]}
    )


def _pattern(template: str) -> str:
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))


def secret_with(*scopes: str, **fields: Any) -> str:
    return APIKey.issue("-".join(scopes) or "none", list(scopes), **fields).secret
