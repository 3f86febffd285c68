"""The JSON schema of a config, for editors and checkers (https://json-schema.org/draft/2020-12)."""

from __future__ import annotations

from typing import Any, cast

from pydantic.json_schema import GenerateJsonSchema

from rnncli.config.schema import Config

FILE_NAME = "rnncli.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema={FILE_NAME}"
"""The line in a config that names its schema to an editor."""


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a config, short forms included.

    It describes each key by itself: rules between keys, and whether files are there, are for `rnncli validate`.
    """
    schema = Config.model_json_schema()
    model = cast(dict[str, Any], schema["properties"]["model"])
    names = list(model["discriminator"]["mapping"])  # a model too can be given by its name alone
    schema["properties"]["model"] = {"anyOf": [{"type": "string", "enum": names}, model]}
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "rnncli config"}
