"""Decides a request to AWS as AWS does, from the documents alone.

Implements the evaluation logic of IAM for what our policies use: an explicit deny anywhere wins; a service control policy must
allow; inside one account the identity's or the resource's policy is enough, across accounts both must allow; a key of
KMS always needs its key policy, which may hand the decision to the account. Statements are interpreted in full: Action
and NotAction, Resource and NotResource, Principal and NotPrincipal, policy variables, and the condition operators below with
IfExists, ForAnyValue and ForAllValues. What is not known is an error, never a guess.

Not here: permission boundaries, session policies, ACLs. None of our templates has one.
"""

import ipaddress
import re
from dataclasses import dataclass, field

NEGATED = {
    "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NumericNotEquals",
    "NotIpAddress", "DateNotEquals",
}


class Unsupported(Exception):
    """A part of a document this evaluator does not know."""


@dataclass
class Principal:
    """Who asks: an IAM principal by ARN, or a service of AWS by its name."""

    arn: str = ""
    service: str = ""
    account: str = ""
    organization: str = ""
    federated: str = ""

    def __post_init__(self):
        if self.arn and not self.account:
            self.account = self.arn.split(":")[4]


@dataclass
class Request:
    """What is asked: action, resource, the resource's account and the keys of the context."""

    principal: Principal
    action: str
    resource: str
    resource_account: str
    context: dict = field(default_factory=dict)

    def keys(self):
        """Lower-case condition keys with lists of values: what AWS adds, then what the caller said."""
        known = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
        principal = self.principal
        if principal.arn:
            known["aws:PrincipalArn"] = principal.arn
            known["aws:PrincipalAccount"] = principal.account
        known["aws:PrincipalIsAWSService"] = "true" if principal.service else "false"
        if principal.organization:
            known["aws:PrincipalOrgID"] = principal.organization
        known.update(self.context)
        return {
            key.lower(): [str(v) for v in (value if isinstance(value, (list, tuple)) else [value])]
            for key, value in known.items() if value is not None
        }


def listed(value):
    return value if isinstance(value, list) else [value]


def substitute(text, keys):
    """Policy variables; None when one has no value, for then nothing matches."""
    missing = False

    def replace(match):
        nonlocal missing
        name = match.group(1)
        if name in ("*", "?", "$"):
            return f"[{name}]" if name != "$" else "$"
        name, _, default = name.partition(",")
        values = keys.get(name.strip().lower())
        if values and len(values) == 1:
            # A value with a wildcard in it must not become one.
            return re.sub(r"([*?\[])", r"[\1]", values[0])
        if default.strip():
            return default.strip().strip("'")
        missing = True
        return ""

    result = re.sub(r"\$\{([^}]*)\}", replace, text)
    return None if missing else result


def matches(pattern, value, ignore_case=False):
    """`*` and `?` as IAM has them. Classes in brackets come from substitute() alone."""
    pieces = re.split(r"(\[[*?\[]\]|\*|\?)", pattern)
    parts = {"*": ".*", "?": "."}
    expression = "".join(
        parts.get(piece) or (re.escape(piece[1]) if re.fullmatch(r"\[[*?\[]\]", piece) else re.escape(piece)) for piece in pieces
    )
    return re.fullmatch(expression, value, re.S | (re.I if ignore_case else 0)) is not None


def any_match(patterns, value, keys, ignore_case=False):
    for pattern in listed(patterns):
        pattern = substitute(pattern, keys)
        if pattern is not None and matches(pattern, value, ignore_case):
            return True
    return False


def arn_match(pattern, value):
    """Each of the six parts for itself: a wildcard does not cross a colon, except in the last part."""
    wanted, have = pattern.split(":", 5), value.split(":", 5)
    if pattern == "*":
        return True
    return len(wanted) == len(have) == 6 and all(matches(w, h) for w, h in zip(wanted, have))


def test_one(operator, wanted, have):
    """One positive comparison of a value of the policy with a value of the request."""
    if operator == "StringEquals":
        return wanted == have
    if operator == "StringEqualsIgnoreCase":
        return wanted.lower() == have.lower()
    if operator == "StringLike":
        return matches(wanted, have)
    if operator in ("ArnEquals", "ArnLike"):
        return arn_match(wanted, have)
    if operator == "Bool":
        return wanted.lower() == have.lower()
    if operator.startswith("Numeric"):
        left, right = float(have), float(wanted)
        name = operator.removeprefix("Numeric")
        return {
            "Equals": left == right, "LessThan": left < right, "LessThanEquals": left <= right,
            "GreaterThan": left > right, "GreaterThanEquals": left >= right,
        }[name]
    if operator == "IpAddress":
        return ipaddress.ip_address(have) in ipaddress.ip_network(wanted, strict=False)
    raise Unsupported(f"condition operator {operator}")


def condition_holds(operator, key, wanted, keys):
    quantifier, _, rest = operator.rpartition(":")
    if_exists = rest.endswith("IfExists")
    base = rest.removesuffix("IfExists")
    have = keys.get(key.lower())
    if base == "Null":
        return any((str(want).lower() == "true") == (have is None) for want in listed(wanted))
    negated = base in NEGATED
    positive = base.replace("Not", "", 1) if negated else base
    if have is None:
        if quantifier == "ForAllValues" or if_exists:
            return True
        # A negated comparison with a key that is not there is true; ForAnyValue needs a value.
        return negated and quantifier != "ForAnyValue"
    values = [substitute(str(want).lower() if isinstance(want, bool) else str(want), keys) for want in listed(wanted)]
    values = [value for value in values if value is not None]
    if positive in ("StringEquals", "StringEqualsIgnoreCase"):
        values = [re.sub(r"\[([*?\[])\]", r"\1", value) for value in values]

    def holds(value):
        hit = any(test_one(positive, want, value) for want in values)
        return not hit if negated else hit

    if quantifier == "ForAllValues":
        return all(holds(value) for value in have)
    if quantifier == "ForAnyValue":
        return any(holds(value) for value in have)
    if quantifier:
        raise Unsupported(f"set operator {quantifier}")
    # Without a set operator a key has one value; of several, a negated test must hold for all.
    return all(holds(v) for v in have) if negated else any(holds(v) for v in have)


def principal_matches(principals, principal, keys):
    if principals == "*":
        return True
    for kind, values in principals.items():
        for value in listed(values):
            if kind == "Service" and principal.service and value == principal.service:
                return True
            if kind == "Federated" and principal.federated and value == principal.federated:
                return True
            if kind == "AWS" and (principal.arn or value == "*"):
                if value == "*" or value == principal.arn:
                    return True
                if value in (principal.account, f"arn:aws:iam::{principal.account}:root"):
                    return True
            if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
                raise Unsupported(f"principal type {kind}")
    return False


KNOWN = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
}


def statement_matches(statement, request, keys, attached):
    """Whether a statement is about this request. `attached`: a resource's policy, which has principals."""
    unknown = statement.keys() - KNOWN
    if unknown or statement.get("Effect") not in ("Allow", "Deny"):
        raise Unsupported(f"statement {sorted(unknown)} with effect {statement.get('Effect')}")
    if "Action" in statement:
        if not any_match(statement["Action"], request.action, {}, ignore_case=True):
            return False
    elif any_match(statement["NotAction"], request.action, {}, ignore_case=True):
        return False
    if attached:
        if "Principal" in statement:
            if not principal_matches(statement["Principal"], request.principal, keys):
                return False
        elif principal_matches(statement["NotPrincipal"], request.principal, keys):
            return False
    if "Resource" in statement:
        if not any_match(statement["Resource"], request.resource, keys):
            return False
    elif "NotResource" in statement:
        if any_match(statement["NotResource"], request.resource, keys):
            return False
    elif not attached:
        raise Unsupported("statement of an identity without Resource")
    return all(
        condition_holds(operator, key, wanted, keys)
        for operator, tests in statement.get("Condition", {}).items() for key, wanted in tests.items()
    )


def effects(documents, request, attached):
    """Effects of all statements that are about this request, with the Sid that decides."""
    keys = request.keys()
    found = {"Allow": [], "Deny": []}
    for document in documents:
        for statement in listed(document["Statement"]):
            if statement_matches(statement, request, keys, attached):
                found[statement["Effect"]].append(statement)
    return found


def names_account_only(statement, principal):
    """A statement that only hands the decision to the account's own policies."""
    who = statement.get("Principal")
    values = listed(who["AWS"]) if isinstance(who, dict) and "AWS" in who else []
    return f"arn:aws:iam::{principal.account}:root" in values and "*" not in values and principal.arn not in values


@dataclass
class Decision:
    """The answer and why."""

    allowed: bool
    reason: str


def decide(request, identity=(), resource=None, control=()):
    """`identity`: documents of the principal; `resource`: the resource's policy or None; `control`: service control policies
    by level, from the root down to the account: at each level one of them must allow."""
    by_identity = effects(identity, request, attached=False)
    by_resource = effects([resource] if resource else [], request, attached=True)
    for source, found in (("identity", by_identity), ("resource", by_resource)):
        if found["Deny"]:
            return Decision(False, f"{source} denies: {found['Deny'][0].get('Sid', '?')}")
    # Service control policies bind principals of member accounts, never services.
    if not request.principal.service:
        for level in control:
            found = effects(level, request, attached=False)
            if found["Deny"]:
                return Decision(False, f"service control policy denies: {found['Deny'][0].get('Sid', '?')}")
            if not found["Allow"]:
                return Decision(False, "service control policy does not allow")
    delegated = [s for s in by_resource["Allow"] if names_account_only(s, request.principal)]
    direct = [s for s in by_resource["Allow"] if s not in delegated]
    if request.principal.service or request.principal.federated:
        return Decision(bool(by_resource["Allow"]), "resource policy, for a service")
    own = request.principal.account == request.resource_account
    is_key = request.action.lower().startswith("kms:")
    if own and not is_key:
        if by_identity["Allow"] or direct:
            return Decision(True, "allowed in the account")
        return Decision(False, "nothing allows it")
    if own and is_key:
        if direct or (delegated and by_identity["Allow"]):
            return Decision(True, "allowed by the key")
        return Decision(False, "the key policy, or the identity below it, does not allow it")
    if by_identity["Allow"] and by_resource["Allow"]:
        return Decision(True, "allowed on both sides")
    return Decision(False, "across accounts both sides must allow it")
