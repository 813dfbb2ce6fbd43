"""The protocols besides chat completions, by their format."""

from experiments.core.endpoints import ApiFormat
from experiments.gateway.protocols.messages import MessagesReader, native_messages
from experiments.gateway.protocols.native import NativeFormat

NATIVE: dict[ApiFormat, NativeFormat] = {
    ApiFormat.MESSAGES: NativeFormat(MessagesReader(), native_messages),
}
