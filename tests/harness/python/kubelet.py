"""Makes of a chart's manifests what `podman kube play` takes for one node, as Kubernetes would do it.

In: {"manifests", "node", "address": of the node and of its pod, "environment": what Kubernetes tells of Services}
Out: {"node": the DaemonSet's pod and its ConfigMaps, "tests": the pods of `helm test`}, all of them YAML

What a kubelet or a controller does, and podman does not: a pod is made of the DaemonSet's template; the Downward API and
$(VARIABLES) are filled in. Ports go: podman would take all of them for ports of the host, and here a pod's address is its
node's.
"""
import re

import yaml
from lab import answer, arguments

args = arguments()
fields = {"status.podIP": args["address"], "status.hostIP": args["address"]}


def fill(container):
    known = dict(args["environment"])

    def expanded(text):
        return re.sub(r"\$\(([A-Z_]+)\)", lambda match: known[match[1]], text)

    for variable in container.get("env", []):
        source = variable.pop("valueFrom", None)
        variable["value"] = fields[source["fieldRef"]["fieldPath"]] if source else expanded(variable["value"])
        known[variable["name"]] = variable["value"]
    container["args"] = [expanded(argument) for argument in container["args"]]
    container.pop("ports", None)


def pod(name, template):
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name}, "spec": template["spec"]}
    for container in made["spec"]["containers"]:
        fill(container)
    return made


resources = [resource for resource in yaml.safe_load_all(args["manifests"]) if resource]
node, tests = [resource for resource in resources if resource["kind"] == "ConfigMap"], []
for resource in resources:
    name = resource["metadata"]["name"] + "-" + args["node"]
    match resource["kind"]:
        case "DaemonSet":
            node.append(pod(name, resource["spec"]["template"]))
        case "Pod":
            tests.append(pod(name, resource))
answer({"node": yaml.safe_dump_all(node), "tests": yaml.safe_dump_all(tests)})
