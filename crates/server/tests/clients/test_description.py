"""The OpenAPI description is valid, and real answers are as it says."""

import json
import unittest
import urllib.error
import urllib.request

import jsonschema
from openapi_spec_validator import OpenAPIV31SpecValidator
from service import URL, get

TEXT = "I can't believe we won!"
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [TEXT]}

# Bodies beside the example that the description has for each endpoint.
BODIES = {
    "/": [{"inputs": [TEXT]}, {"inputs": TEXT}],
    "/predict": [{"inputs": [[TEXT]], "raw_scores": True, "top_k": 2}, {"inputs": TEXT, "function_to_apply": "sigmoid"}],
    "/vertex": [{"instances": [{"inputs": [TEXT], "truncate": False}]}],
    "/tokenize": [{"inputs": [TEXT, "a"], "add_special_tokens": False}],
    "/classify": [{"input": TEXT, "parameters": {"truncation_direction": "left"}}],
    "/explain": [
        {"inputs": TEXT, "parameters": {"method": "integrated-gradients:3", "pictures": True}},
        {"inputs": "wow " * 600, "parameters": {"target": "happiness", "against": "anger", "objective": "probability"}},
    ],
    "/v2/models/{name}/infer": [
        {"id": "a", "inputs": [TENSOR], "outputs": [{"name": "logits"}], "parameters": {"top_k": 3}},
    ],
}

# Bodies that are refused, by status.
REFUSED = {
    400: [{}, {"inputs": 7}, {"inputs": TEXT, "top_k": 0}],
    422: [{"inputs": "wow " * 600, "truncate": False}],
}


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, method=method.upper())
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


class Description(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.api = get("/openapi.json")

    def validator(self, schema):
        # References begin at the root of the description.
        return jsonschema.Draft202012Validator({**self.strict(self.api), **self.strict(schema)})

    def strict(self, schema):
        """Returns a schema that allows no property without a description."""
        if isinstance(schema, list):
            return [self.strict(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        result = {name: self.strict(value) for name, value in schema.items() if name not in ("example", "allOf")}
        if "allOf" in schema:
            # Each part describes some of the properties.
            result["allOf"] = [self.api["components"]["schemas"].get(self.name(part), part) for part in schema["allOf"]]
            result["unevaluatedProperties"] = False
        elif isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            result.setdefault("additionalProperties", False)
        return result

    def name(self, schema):
        """Returns the name of the schema that a reference is for."""
        return schema.get("$ref", "").split("/")[-1]

    def operations(self):
        for path, item in self.api["paths"].items():
            for method, operation in item.items():
                yield path, method, operation

    def check(self, path, method, operation, body=None):
        real = path.replace("/assets/{name}", "/assets/page.js").replace("{name}", "emotion").replace("{version}", "1")
        status, headers, answer = call(method, real, body)
        described = operation["responses"][str(status)]
        kind = headers["content-type"].split(";")[0]
        if kind == "application/json":
            schema = described["content"]["application/json"].get("schema", {})
            self.validator(schema).validate(json.loads(answer))
        for name in described.get("headers", {}):
            self.assertIn(name, headers)
        return status

    def test_is_valid(self):
        OpenAPIV31SpecValidator(self.api).validate()

    def test_answers_are_as_described(self):
        for path, method, operation in self.operations():
            with self.subTest(f"{method} {path}"):
                bodies = [None]
                if "requestBody" in operation:
                    schema = operation["requestBody"]["content"]["application/json"]["schema"]
                    example = self.api["components"]["schemas"][schema["$ref"].split("/")[-1]]["example"]
                    bodies = [example, *BODIES.get(path, [])]
                    for body in bodies:
                        jsonschema.Draft202012Validator({**self.api, **schema}).validate(body)
                elif method == "post":
                    bodies = [{}]
                for body in bodies:
                    self.assertEqual(self.check(path, method, operation, body), 200)

    def test_errors_are_as_described(self):
        for path, method, operation in self.operations():
            if "requestBody" not in operation:
                continue
            with self.subTest(path):
                self.assertEqual(self.check(path, method, operation, {}), 400)
        operation = self.api["paths"]["/predict"]["post"]
        for status, bodies in REFUSED.items():
            for body in bodies:
                self.assertEqual(self.check("/predict", "post", operation, body), status)

    def test_strict_schemas_notice_what_is_not_described(self):
        schema = {"$ref": "#/components/schemas/Live"}
        self.validator(schema).validate({"live": True})
        for wrong in [{"live": True, "more": 1}, {"live": 1}, {}]:
            with self.assertRaises(jsonschema.ValidationError):
                self.validator(schema).validate(wrong)
