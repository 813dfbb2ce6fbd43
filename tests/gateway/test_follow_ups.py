"""What is routed of a conversation, in each of the protocols."""

import json

import pytest

from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.protocols.messages import read_messages
from experiments.gateway.protocols.responses import read_responses

TOPIC = "Implement Paxos in Rust"


def body(field: str, *turns: str) -> bytes:
    roles = ("user", "assistant")
    said = [{"role": roles[at % 2], "content": text} for at, text in enumerate(turns)]
    return json.dumps({"model": "router-auto", "max_tokens": 9, field: said}).encode()


@pytest.mark.parametrize(
    ("turns", "routed"),
    [
        ((TOPIC,), TOPIC),
        ((TOPIC, "Here it is.", "continue"), f"{TOPIC}\ncontinue"),
        ((TOPIC, "Here it is.", "fix it", "Done.", "go on"), f"{TOPIC}\ngo on"),
        ((TOPIC, "Here it is.", "Who wrote Don Quixote?"), "Who wrote Don Quixote?"),
    ],
)
def test_a_turn_without_content_takes_its_topic_along(turns: tuple[str, ...], routed: str) -> None:
    assert read_chat(body("messages", *turns), None).text == routed
    assert read_messages(body("messages", *turns), None, {}).text == routed
    assert read_responses(body("input", *turns), None, {}).text == routed
