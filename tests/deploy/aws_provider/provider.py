"""A stand-in for terraform-provider-aws, where the real one can't be had: plugin protocol 6, the real provider's schemas
(schemas.py), and resources made in an emulator (emulator.py) when MOTO_ENDPOINT is set.

Real Terraform does the rest: it reports unknown arguments, missing ones and wrong types, resolves references and keeps the
state. Not here: checks of values, replacement instead of update, reading what others changed, destroying.
"""

import base64
import datetime
import json
import os
import sys
import tempfile
from concurrent import futures
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, os.environ["PLUGIN_GENERATED"])
sys.path.insert(0, str(HERE))

import grpc
import msgpack
import plugin_pb2 as pb
import plugin_pb2_grpc as pb_grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import documents
import emulator

SCHEMAS = json.loads(Path(os.environ["PLUGIN_SCHEMAS"]).read_text())
COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
UNKNOWN = msgpack.ExtType(0, b"\x00")
NESTING = {"single": 1, "list": 2, "set": 3}


def decode(value):
    if value.json:
        return json.loads(value.json)
    return msgpack.unpackb(value.msgpack, strict_map_key=False) if value.msgpack else None


def encode(value):
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def unknown(value):
    if isinstance(value, dict):
        return any(map(unknown, value.values()))
    if isinstance(value, list):
        return any(map(unknown, value))
    return isinstance(value, msgpack.ExtType)


def block_message(block):
    message = pb.Schema.Block()
    for name, attribute in sorted(block["attributes"].items()):
        computed = attribute.get("computed", False) or attribute.get("filled", False)
        message.attributes.append(pb.Schema.Attribute(
            name=name,
            type=json.dumps(attribute["type"]).encode(),
            required=attribute.get("required", False),
            optional=not attribute.get("required", False) and (not attribute.get("computed") or attribute.get("filled", False)),
            computed=computed,
        ))
    for name, nested in sorted(block["blocks"].items()):
        message.block_types.append(pb.Schema.NestedBlock(
            type_name=name,
            block=block_message(nested["block"]),
            nesting=NESTING[nested["nesting"]],
            min_items=0 if nested["nesting"] == "single" else nested["min"],
            max_items=0 if nested["nesting"] == "single" else nested["max"],
        ))
    return message


def provider_schema():
    optional = lambda name, kind: pb.Schema.Attribute(name=name, type=json.dumps(kind).encode(), optional=True)
    role = pb.Schema.Block(attributes=[optional("role_arn", "string"), optional("external_id", "string")])
    tags = pb.Schema.Block(attributes=[optional("tags", ["map", "string"])])
    return pb.Schema(block=pb.Schema.Block(
        attributes=[optional("region", "string")],
        block_types=[
            pb.Schema.NestedBlock(type_name="assume_role", block=role, nesting=2, max_items=1),
            pb.Schema.NestedBlock(type_name="default_tags", block=tags, nesting=2, max_items=1),
        ],
    ))


def error(summary, detail):
    return pb.Diagnostic(severity=1, summary=summary, detail=detail)


class Provider(pb_grpc.ProviderServicer):
    """One configuration of the provider: an account and a Region."""

    def __init__(self):
        self.region, self.account, self.tags, self.emulator = "eu-west-1", "123456789012", {}, None

    def GetProviderSchema(self, request, context):
        schemas = lambda part: {name: pb.Schema(block=block_message(block)) for name, block in SCHEMAS[part].items()}
        return pb.GetProviderSchema.Response(
            provider=provider_schema(), resource_schemas=schemas("resources"), data_source_schemas=schemas("data")
        )

    def ConfigureProvider(self, request, context):
        config = decode(request.config)
        self.region = config.get("region") or self.region
        roles = [role["role_arn"] for role in config.get("assume_role") or [] if role.get("role_arn")]
        for tags in config.get("default_tags") or []:
            self.tags.update(tags.get("tags") or {})
        if roles:
            self.account = roles[0].split(":")[4]
        self.emulator = emulator.emulator(self.region, roles[0] if roles else None)
        return pb.ConfigureProvider.Response()

    def ValidateProviderConfig(self, request, context):
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return pb.ValidateDataResourceConfig.Response()

    def StopProvider(self, request, context):
        return pb.StopProvider.Response()

    def UpgradeResourceState(self, request, context):
        return pb.UpgradeResourceState.Response(upgraded_state=encode(json.loads(request.raw_state.json)))

    def ReadResource(self, request, context):
        return pb.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(self, request, context):
        proposed, prior = decode(request.proposed_new_state), decode(request.prior_state)
        if proposed is not None:
            for name, attribute in SCHEMAS["resources"][request.type_name]["attributes"].items():
                fills = attribute.get("computed") or attribute.get("filled")
                if fills and proposed.get(name) is None and not prior:
                    proposed[name] = UNKNOWN
        return pb.PlanResourceChange.Response(planned_state=encode(proposed))

    def ApplyResourceChange(self, request, context):
        planned, prior = decode(request.planned_state), decode(request.prior_state)
        if planned is None:
            return pb.ApplyResourceChange.Response(
                new_state=request.prior_state, diagnostics=[error("no destroy", "the stand-in provider does not destroy")]
            )
        kind = request.type_name
        try:
            filled = self.emulator.apply(kind, planned, prior) if self.emulator else self.invent(kind, planned)
        except Exception as failure:  # whatever the emulator says is the resource's error
            return pb.ApplyResourceChange.Response(
                new_state=request.prior_state or encode(None), diagnostics=[error(kind, f"{type(failure).__name__}: {failure}")]
            )
        filled = {"region": self.region, "tags_all": {**self.tags, **(planned.get("tags") or {})}, **filled}
        for name, attribute in SCHEMAS["resources"][kind]["attributes"].items():
            if unknown(planned.get(name)):
                planned[name] = filled.get(name)
        return pb.ApplyResourceChange.Response(new_state=encode(planned))

    def invent(self, kind, planned):
        """Ids and ARNs without an emulator behind: for plans of modules alone."""
        name = next((planned[k] for k in ("name", "bucket", "alarm_name") if isinstance(planned.get(k), str)), kind)
        arn = f"arn:aws:{kind.split('_')[1]}:{self.region}:{self.account}:{name}"
        return {"id": name, "arn": f"arn:aws:s3:::{name}" if kind == "aws_s3_bucket" else arn, "url": name, "key_id": name}

    def ReadDataSource(self, request, context):
        config = decode(request.config)
        if request.type_name == "aws_caller_identity":
            config.update(account_id=self.account, id=self.account, arn=f"arn:aws:iam::{self.account}:root", user_id="AIDATEST")
        elif request.type_name == "aws_iam_policy_document":
            try:
                document = documents.render(config)
            except ValueError as failure:
                return pb.ReadDataSource.Response(diagnostics=[error("policy document", str(failure))])
            compact = json.dumps(document, separators=(",", ":"))
            config.update(json=json.dumps(document, indent=2), minified_json=compact)
            config["version"] = config.get("version") or "2012-10-17"
            config["id"] = "document"
        else:
            return pb.ReadDataSource.Response(diagnostics=[error("data source", f"{request.type_name} is not served")])
        return pb.ReadDataSource.Response(state=encode(config))


def certificate():
    """Terraform asks for TLS with a client certificate on P-521, which BoringSSL refuses: the server shows one and asks for none."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret, built


def main():
    if os.environ.get("TF_PLUGIN_MAGIC_COOKIE") != COOKIE:
        sys.exit("provider: this is a plugin; terraform starts it")
    secret, built = certificate()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    pb_grpc.add_ProviderServicer_to_server(Provider(), server)
    socket = Path(tempfile.mkdtemp(prefix="logq-plugin-")) / "socket"
    pem = built.public_bytes(serialization.Encoding.PEM)
    server.add_secure_port(f"unix:{socket}", grpc.ssl_server_credentials([(secret, pem)]))
    server.start()
    der = base64.b64encode(built.public_bytes(serialization.Encoding.DER)).decode().rstrip("=")
    print(f"1|6|unix|{socket}|grpc|{der}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
