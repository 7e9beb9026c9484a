"""What the data source aws_iam_policy_document renders: statements into JSON, documents merged by Sid."""

import json

LISTS = (("actions", "Action"), ("not_actions", "NotAction"), ("resources", "Resource"), ("not_resources", "NotResource"))


def one_or_many(values):
    return values[0] if len(values) == 1 else sorted(values)


def statement(config):
    result = {"Sid": config.get("sid") or "", "Effect": config.get("effect") or "Allow"}
    for key, name in LISTS:
        if config.get(key):
            result[name] = one_or_many([value.replace("&{", "${") for value in config[key]])
    for key, name in (("principals", "Principal"), ("not_principals", "NotPrincipal")):
        by_type = {}
        for entry in config.get(key) or []:
            by_type.setdefault(entry["type"], []).extend(entry["identifiers"])
        if by_type:
            result[name] = "*" if set(by_type) == {"*"} else {kind: one_or_many(v) for kind, v in by_type.items()}
    for entry in config.get("condition") or []:
        tests = result.setdefault("Condition", {}).setdefault(entry["test"], {})
        have = tests.get(entry["variable"], [])
        have = have if isinstance(have, list) else [have]
        values = [value.replace("&{", "${") for value in entry["values"]]
        tests[entry["variable"]] = one_or_many(have + values)
    if not result["Sid"]:
        del result["Sid"]
    return result


def merge(statements, added, replace):
    """Adds statements; one with a Sid that is taken replaces (`override`) or is an error (`source`)."""
    for new in added:
        sid = new.get("Sid")
        same = [i for i, old in enumerate(statements) if sid and old.get("Sid") == sid]
        if same and not replace:
            raise ValueError(f"duplicate Sid ({sid}) in source_policy_documents and statements")
        if same:
            statements[same[0]] = new
        else:
            statements.append(new)


def render(config):
    statements = []
    for text in [config.get("source_json")] + (config.get("source_policy_documents") or []):
        merge(statements, statements_of(text), replace=False)
    merge(statements, [statement(entry) for entry in config.get("statement") or []], replace=False)
    for text in [config.get("override_json")] + (config.get("override_policy_documents") or []):
        merge(statements, statements_of(text), replace=True)
    return {"Version": config.get("version") or "2012-10-17", "Statement": statements}


def statements_of(text):
    found = json.loads(text)["Statement"] if text else []
    return found if isinstance(found, list) else [found]
