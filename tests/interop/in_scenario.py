"""Runs the charm of `everything.py` in ops-scenario, on the states of the harness, and reports what comes out of it."""

import json
import pathlib
import sys

import yaml
from ops import testing

import report
from everything import Everything


def of_case(context, case):
    """The state and the event of a case, in the words of ops-scenario."""
    given = case["state"]
    relations = {each["id"]: of_relation(each) for each in given["relations"]}
    secrets = [of_secret(each) for each in given["secrets"]]
    state = testing.State(
        config=given["config"],
        relations=set(relations.values()),
        leader=given["leader"],
        model=testing.Model(given["model"]["name"], uuid=given["model"]["uuid"], type=given["model"]["type"]),
        secrets=set(secrets),
        opened_ports={of_port(each) for each in given["opened_ports"]},
        networks={of_network(name, each) for name, each in case["networks"].items()},
        resources={testing.Resource(name=name, path=path) for name, path in given["resources"].items()},
        unit_status=of_status(given["unit_status"]),
        app_status=of_status(given["app_status"]),
        planned_units=1 + len(given["other_units"]),
    )
    event = case["event"]
    on, name = context.on, event["name"]
    if name == "action":
        return on.action(event["action"], params=event["params"]), state
    if name.startswith("relation"):
        more = {"remote_unit": event["unit"]} if event["unit"] is not None else {}
        return getattr(on, name)(relations[event["relation"]], **more), state
    if name.startswith("secret"):
        return getattr(on, name)(next(each for each in secrets if each.id == event["secret"])), state
    return getattr(on, name)(), state


def of_relation(given):
    shared = {
        "id": given["id"],
        "local_app_data": given["local_app_data"],
        "local_unit_data": given["local_unit_data"],
    }
    units = {int(name.split("/")[1]): bag for name, bag in given["remote_units"].items()}
    if given["remote_app"] == "everything":
        return testing.PeerRelation(given["endpoint"], peers_data=units, **shared)
    return testing.Relation(
        given["endpoint"],
        remote_app_name=given["remote_app"],
        remote_app_data=given["remote_app_data"],
        remote_units_data=units,
        remote_model_uuid=given["remote_model_uuid"],
        **shared,
    )


def of_secret(given):
    contents = {
        int(revision): {key: bytes(value).decode() for key, value in content.items()}
        for revision, content in given["revisions"].items()
    }
    latest = contents[max(contents)]
    consumer = given["consumers"].get("everything/0")
    owner = {"Application": "app", "Unit": "unit"}.get(next(iter(given["owner"]))) if given["owner"] != "Model" else None
    grants = {}
    for access in given["access"]:
        if access["relation"] is not None:
            grants.setdefault(access["relation"], set()).add(access["target"])
    return testing.Secret(
        contents[consumer["revision"]] if consumer else latest,
        latest_content=latest,
        id=f"secret:{given['id']}",
        owner=owner,
        label=given["label"] if owner else consumer["label"] if consumer else None,
        description=given["description"] or None,
        remote_grants=grants,
    )


def of_port(given):
    kinds = {"tcp": testing.TCPPort, "udp": testing.UDPPort}
    return kinds[given["protocol"]](given["from"])


def of_network(name, given):
    devices = [
        testing.BindAddress(
            [testing.Address(each["value"], hostname=each["hostname"], cidr=each["cidr"]) for each in device["addresses"]],
            interface_name=device["name"],
            mac_address=device["mac"],
        )
        for device in given["devices"]
    ]
    return testing.Network(name, devices, ingress_addresses=given["ingress"], egress_subnets=given["egress"])


def of_status(given):
    return testing.UnknownStatus() if given["name"] == "unknown" else {
        "active": testing.ActiveStatus,
        "blocked": testing.BlockedStatus,
        "maintenance": testing.MaintenanceStatus,
        "waiting": testing.WaitingStatus,
    }[given["name"]](given["message"])


def to_result(context, state, failure):
    """What a hook has left behind."""
    return {
        "relations": {
            relation.id: {"app": dict(relation.local_app_data), "unit": dict(relation.local_unit_data)}
            for relation in state.relations
        },
        "statuses": [[status.name, status.message] for status in (state.unit_status, state.app_status)],
        "ports": sorted(f"{port.port}/{port.protocol}" for port in state.opened_ports),
        "version": state.workload_version,
        "secrets": {
            secret.label or secret.id: {
                "owner": secret.owner,
                "content": dict(secret.latest_content),
                "description": secret.description or "",
                "rotate": secret.rotate.value if secret.rotate else "never",
                "expire": secret.expire and secret.expire.isoformat(),
                "grants": {id: sorted(targets) for id, targets in secret.remote_grants.items() if targets},
            }
            for secret in state.secrets
        },
        "storage": dict(context.requested_storages),
        "log": [[line.level, line.message] for line in context.juju_log if line.message.startswith("at level")],
        "action": {"results": dict(context.action_results or {}), "log": list(context.action_logs), "failure": failure},
    }


def run(declared, case):
    context = testing.Context(
        Everything,
        meta={key: value for key, value in declared.items() if key not in ("type", "title", "config", "actions")},
        config=declared["config"],
        actions=declared["actions"],
        juju_version=case["juju"],
    )
    event, state = of_case(context, case)
    failure = None
    try:
        state = context.run(event, state)
    except testing.ActionFailed as failed:
        state, failure = failed.state, failed.message
    return {"understood": report.read(), "left": to_result(context, state, failure)}


def main():
    here = pathlib.Path(__file__).parent
    declared = yaml.safe_load((here / "everything.yaml").read_text())
    json.dump([run(declared, case) for case in report.given()], sys.stdout, default=str)


if __name__ == "__main__":
    main()
