"""The protocols besides chat completions, by their format."""

from experiments.core.endpoints import ApiFormat
from experiments.gateway.protocols.embeddings import EmbeddingsReader, native_embeddings
from experiments.gateway.protocols.messages import MessagesReader, native_messages
from experiments.gateway.protocols.native import NativeFormat
from experiments.gateway.protocols.responses import ResponsesReader, native_responses

NATIVE: dict[ApiFormat, NativeFormat] = {
    ApiFormat.MESSAGES: NativeFormat(MessagesReader(), native_messages),
    ApiFormat.RESPONSES: NativeFormat(ResponsesReader(), native_responses),
    ApiFormat.EMBEDDINGS: NativeFormat(EmbeddingsReader(), native_embeddings),
}
