"""Schemas of the AWS provider, read from the typings that HashiCorp generates from them.

The npm package @cdktf/provider-aws holds a class for every resource. Its compiled JavaScript names each attribute with type
and nesting, its declarations say what is required. The package is MPL-2.0: it is fetched when tests run and
what is read from it stays in the cache folder.

Known limits: an optional attribute that the provider would fill in itself is served as optional only, enumerations and
value checks are not part of the package.
"""

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE = "@cdktf/provider-aws@21.22.1"
PROVIDER_VERSION = "6.25.0"

SCALARS = {"string": "string", "number": "number", "boolean": "bool"}
GETTERS = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getStringMapAttribute": ["map", "string"],
    "getListAttribute": ["list", "string"],
}
# Optional attributes that the provider fills in when they are left out.
FILLED = {"id", "arn", "region", "tags_all"}

ENTRY = re.compile(
    r"^\s+(\w+): \{\s*value: (.*?),\n\s*isBlock: (true|false),\s*type: \"(\w+)\",\s*storageClassType: \"(\w+)\"", re.M | re.S
)


def fetch(cache):
    """The package's archive, downloaded once."""
    cache.mkdir(parents=True, exist_ok=True)
    archives = list(cache.glob("cdktf-provider-aws-*.tgz"))
    if not archives:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=cache, check=True, stdout=subprocess.DEVNULL)
        archives = list(cache.glob("cdktf-provider-aws-*.tgz"))
    return archives[0]


def sources(archive, folders):
    """index.js and index.d.ts of each folder, in one pass over the archive."""
    wanted = {f"package/lib/{folder}/index.{end}": (folder, end) for folder in folders for end in ("js", "d.ts")}
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in wanted:
                found[wanted[member.name]] = tar.extractfile(member).read().decode()
                if len(found) == len(wanted):
                    break
    return found


def interfaces(declarations):
    """Interface name → {snake name: required}."""
    result = {}
    for name, body in re.findall(r"export interface (\w+)[^{]*\{\n(.*?)\n\}", declarations, re.S):
        fields = {}
        for doc, optional in re.findall(r"/\*\*(.*?)\*/\s*readonly \w+(\??):", body, re.S):
            tag = re.search(r"#(\w+) \w+#", doc)
            if tag:
                fields[tag.group(1)] = optional == ""
        result[name] = fields
    return result


def attribute_type(kind, storage):
    if kind == "simple":
        return SCALARS.get(storage, "dynamic")
    inner = re.sub(r"(List|Map)$", "", storage)
    if kind in ("list", "set", "map") and inner in SCALARS:
        return [kind, SCALARS[inner]]
    return "dynamic"


def block(name, entries, functions, required):
    """A block: attributes and nested blocks, recursively."""
    result = {"attributes": {}, "blocks": {}}
    fields = required.get(name, {})
    for attribute, value, is_block, kind, storage in entries:
        needed = fields.get(attribute, False)
        if is_block == "false":
            result["attributes"][attribute] = {"type": attribute_type(kind, storage), "required": needed}
            continue
        function = re.search(r"(\w+)ToHclTerraform", value).group(1)
        inner = function[0].upper() + function[1:]
        many = "listMapper" in value
        result["blocks"][attribute] = {
            "nesting": "single" if attribute == "timeouts" else "set" if kind == "set" else "list",
            "min": 1 if needed else 0,
            "max": 0 if many else 1,
            "block": block(inner, functions.get(function, []), functions, required),
        }
    return result


def schema(script, declarations):
    required = interfaces(declarations)
    functions = {
        name: ENTRY.findall(body)
        for name, body in re.findall(r"function (\w+)ToHclTerraform\(struct\) \{(.*?)\n\}", script, re.S)
    }
    top = re.search(r"synthesizeHclAttributes\(\) \{(.*?)\n    \}", script, re.S)
    entries = ENTRY.findall(top.group(1)) if top else []
    kind = re.search(r"class (\w+) extends cdktf\.Terraform(?:Resource|DataSource)", script).group(1)
    result = block(f"{kind}Config", entries, functions, required)
    own = script.split(f"class {kind} extends")[1]
    for name, getter in re.findall(
        r"// (\w+) - computed: true, optional: false, required: false\s+get \w+\(\) \{\s+return ([^;]+);", own
    ):
        method = re.search(r"get\w+Attribute", getter)
        if method and method.group(0) in GETTERS and name not in result["attributes"]:
            result["attributes"][name] = {"type": GETTERS[method.group(0)], "computed": True}
    result["attributes"].setdefault("id", {"type": "string"})
    for name in FILLED & result["attributes"].keys():
        result["attributes"][name].update(filled=True, required=False)
    return result


def used_types(directory):
    """Types of resources and data sources that Terraform files below a directory name."""
    kinds = {"resource": set(), "data": set()}
    for path in Path(directory).rglob("*.tf"):
        for kind, name in re.findall(r'^(resource|data) "(aws_\w+)"', path.read_text(), re.M):
            kinds[kind].add(name)
    return kinds


def extract(infrastructure, cache):
    """Writes the schemas of everything the modules use; returns the file."""
    kinds = used_types(infrastructure)
    target = cache / "schemas.json"
    wanted = {"resources": sorted(kinds["resource"]), "data": sorted(kinds["data"]), "version": 3}
    if target.exists() and json.loads(target.read_text()).get("wanted") == wanted:
        return target
    folder = lambda name, data: ("data-aws-" if data else "") + name.removeprefix("aws_").replace("_", "-")
    names = [(name, False) for name in wanted["resources"]] + [(name, True) for name in wanted["data"]]
    found = sources(fetch(cache), [folder(*name) for name in names])
    result = {"wanted": wanted, "resources": {}, "data": {}}
    for name, data in names:
        where = folder(name, data)
        if (where, "js") not in found:
            raise SystemExit(f"schemas: {PACKAGE} has no {where} for {name}")
        result["data" if data else "resources"][name] = schema(found[where, "js"], found[where, "d.ts"])
    target.write_text(json.dumps(result, indent=0))
    return target


if __name__ == "__main__":
    print(extract(Path(sys.argv[1]), Path(sys.argv[2])))
