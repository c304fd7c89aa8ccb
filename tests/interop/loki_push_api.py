"""`loki_push_api` by cosl: who sends, and its alert rules.

The address of a Loki is no business of cosl. It is written as a charm of Loki does, JSON in the databag of the unit.
"""

import json

import cosl
import ops

import peer
import report
from cosl.rules import Rules


class Peer(peer.Peer):
    """Either side."""

    interface = "loki_push_api"

    def provide(self, relation):
        relation.data[self.unit].update({"public_address": "loki.example", "endpoint": json.dumps(report.given())})
        bag = relation.data[relation.app]
        if "metadata" not in bag:
            return None
        metadata, rules = json.loads(bag["metadata"]), json.loads(bag["alert_rules"])
        topology = cosl.JujuTopology.from_dict(metadata)
        judged = Rules("logql").inject_and_validate_rules(rules, metadata)
        if self.unit.is_leader():
            relation.data[self.app]["event"] = json.dumps({"errors": judged.errmsg} if judged.errmsg else {})
        return {
            "identifier": topology.identifier,
            "labels": topology.label_matcher_dict,
            "unit": topology.unit,
            "alerts": len([rule for group in judged.rules["groups"] for rule in group["rules"]]),
            "error": judged.errmsg or None,
        }

    def require(self, relation):
        topology = cosl.JujuTopology.from_charm(self)
        if self.unit.is_leader():
            rules = json.dumps(Rules("logql", topology).as_dict(), sort_keys=True)
            relation.data[self.app].update({"metadata": json.dumps(topology.as_dict()), "alert_rules": rules})
        return {unit.name: json.loads(relation.data[unit].get("endpoint", "{}")).get("url") for unit in relation.units}


if __name__ == "__main__":
    ops.main(Peer)
