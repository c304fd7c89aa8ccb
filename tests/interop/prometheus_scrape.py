"""`prometheus_scrape` by cosl: who is scraped, and its alert rules.

The jobs are no business of cosl. They are read as a charm of Prometheus does, which makes one target of `*:port` for each unit that has said where it is.
"""

import json

import cosl
import ops

import peer
from cosl.rules import Rules

ADDRESS = "prometheus_scrape_unit_address"
NAME = "prometheus_scrape_unit_name"


class Peer(peer.Peer):
    """Either side."""

    interface = "prometheus_scrape"

    def require(self, relation):
        bag = relation.data[relation.app]
        if "scrape_metadata" not in bag:
            return None
        metadata = json.loads(bag["scrape_metadata"])
        judged = Rules("promql").inject_and_validate_rules(json.loads(bag["alert_rules"]), metadata)
        units = {relation.data[unit][NAME]: relation.data[unit][ADDRESS] for unit in relation.units if ADDRESS in relation.data[unit]}
        ports = [target.split(":")[1] for job in json.loads(bag["scrape_jobs"]) for config in job["static_configs"] for target in config["targets"]]
        return {
            "identifier": cosl.JujuTopology.from_dict(metadata).identifier,
            "targets": {name: [f"{address}:{port}" for port in ports] for name, address in units.items()},
            "alerts": len([rule for group in judged.rules["groups"] for rule in group["rules"]]),
            "error": judged.errmsg or None,
        }

    def provide(self, relation):
        topology = cosl.JujuTopology.from_charm(self)
        address = str(self.model.get_binding(relation).network.bind_address)
        relation.data[self.unit].update({ADDRESS: address, NAME: self.unit.name})
        if self.unit.is_leader():
            relation.data[self.app]["scrape_metadata"] = json.dumps(topology.as_dict())


if __name__ == "__main__":
    ops.main(Peer)
