"""Checks Kubernetes resources: those of Kubernetes itself by its schemas, custom ones by their types.

resources.py VERSION FILE...     VERSION of Kubernetes

Custom resources become constants of a TypeScript program, which the compiler compares with the types that were made
of their definitions: it knows fields that are missing, superfluous or of another kind. What has no types here is named.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import yaml

# Types are in lib/custom of the environment that this runs in (deploy/tools/install).
TYPES = pathlib.Path(sys.prefix, "lib", "custom")
PACKAGES = {
    "istio.io": "@kubernetes-models/istio",
    "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
}


def package(document):
    group = document["apiVersion"].rpartition("/")[0]
    return next((name for suffix, name in PACKAGES.items() if group.endswith(suffix)), None)


def is_custom(document):
    """Groups of Kubernetes itself have no dot, or end with k8s.io."""
    group = document["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith("k8s.io")


def typed(documents):
    lines = []
    for number, document in enumerate(documents):
        kind = document["kind"]
        lines.append(f'import {{ I{kind} as T{number} }} from "{package(document)}/{document["apiVersion"]}/{kind}";')
        lines.append(f"export const r{number}: T{number} = {json.dumps(document)};")
    return "\n".join(lines)


def check_types(documents):
    compiler = TYPES / "node_modules" / ".bin" / "tsc"
    if not documents:
        return True
    if not compiler.exists():
        print("SKIPPED: no compiler for custom resources (npm was missing when tools were installed)")
        return True
    # Below the packages, where they are found.
    with tempfile.TemporaryDirectory(dir=TYPES) as folder:
        program = pathlib.Path(folder, "resources.ts")
        program.write_text(typed(documents))
        options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"]
        return subprocess.run([compiler, *options, program], check=False).returncode == 0


def check_schemas(version, documents):
    if not documents:
        return True
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "resources.yaml")
        path.write_text(yaml.safe_dump_all(documents))
        program = pathlib.Path(sys.prefix, "bin", "kubernetes-validate")
        return subprocess.run([program, "-k", version, "--strict", "--quiet", path], check=False).returncode == 0


def main(version, *paths):
    documents = [d for path in paths for d in yaml.safe_load_all(pathlib.Path(path).read_text()) if d]
    if not documents:
        sys.exit(f"{' '.join(paths)}: no resource")
    custom = [d for d in documents if is_custom(d)]
    untyped = sorted({f"{d['apiVersion']} {d['kind']}" for d in custom if package(d) is None})
    if untyped:
        print(f"SKIPPED: no types for {', '.join(untyped)}")
    known = check_schemas(version, [d for d in documents if not is_custom(d)])
    fits = check_types([d for d in custom if package(d)])
    sys.exit(0 if known and fits else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
