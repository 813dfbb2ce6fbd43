"""The JSON schema of a shape, in the form of the OpenAPI document."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

REFERENCE = "#/components/schemas/{model}"


def json_schema(shape: Any, reference: str = REFERENCE) -> dict[str, Any]:
    """The schema of a shape or a typed dictionary. Nested ones are in `$defs`."""
    return TypeAdapter(shape).json_schema(
        ref_template=reference, schema_generator=_Generator, mode="validation"
    )


def component_name(class_name: str) -> str:
    """The name in the OpenAPI document: `Arm` of the class `ArmPayload`."""
    return class_name.removesuffix("Payload")


class _Generator(GenerateJsonSchema):
    """Null is a type, not a branch; numbers have a format; names are not repeated as titles."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if branches := inner.get("oneOf"):
            return {**inner, "oneOf": [*branches, {"type": "null"}]}
        if "type" not in inner:
            return {"oneOf": [inner, {"type": "null"}]}
        kinds = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
        values = {"enum": [*inner["enum"], None]} if "enum" in inner else {}
        return {**inner, **values, "type": [*kinds, "null"]}

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        return {"oneOf": super().union_schema(schema)["anyOf"]}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"type": "number", "format": "double"}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Without rules for names: few tools read them."""
        described = super().dict_schema(schema)
        described.pop("propertyNames", None)
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Null is what is left out, so it is no default worth a line."""
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def normalize_name(self, name: str) -> str:
        return component_name(super().normalize_name(name))

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def _update_class_schema(self, json_schema: JsonSchemaValue, *args: Any) -> None:
        super()._update_class_schema(json_schema, *args)
        json_schema.pop("title", None)
