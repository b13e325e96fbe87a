#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""schema_validate.py SCHEMA FILE...: holds YAML files against a JSON Schema (draft 07), a line each: FILE: ok, or FILE: what is wrong."""
import json
import re
import sys

import jsonschema
import yaml


class Core(yaml.SafeLoader):
    """YAML 1.2's core types, as onced reads them: `no` and `on` are text, and so is a date."""


Core.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("null", r"^(null|Null|NULL|~|)$", ["n", "N", "~", ""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    Core.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(pattern), first)

with open(sys.argv[1]) as stream:
    schema = json.load(stream)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for path in sys.argv[2:]:
    try:
        with open(path, encoding="utf-8") as stream:
            errors = ["%s: %s" % (".".join(map(str, e.path)), e.message) for e in validator.iter_errors(yaml.load(stream, Core))]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        errors = ["no YAML: %s" % type(error).__name__]
    print("%s: %s" % (path, "; ".join(errors).replace("\n", " ") or "ok"))
