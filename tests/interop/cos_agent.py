"""`cos_agent` by cosl: whom alert rules are about, their types, and the encoding of dashboards.

The library of the interface lives in the charms that collect, and in no package. What it insists on is said here by a
model of pydantic. What it makes of scrape jobs, slots of logs and traces is not tried, and neither are expressions,
which cosl judges only with a program that charms do not pack.
"""

import json

import cosl
import ops
import pydantic
from cosl.grafana_dashboard import DashboardPath40UID
from cosl.rules import Rules
from cosl.types import OfficialRuleFileFormat
from cosl.utils import LZMABase64

import peer


class Targets(pydantic.BaseModel):
    """Where to ask."""

    targets: list[str]


class Job(pydantic.BaseModel):
    """What to scrape, as Prometheus is told."""

    job_name: str
    metrics_path: str
    static_configs: list[Targets]


class Provider(pydantic.BaseModel):
    """What each unit publishes. A collector drops all of it if one of these is missing or of another type."""

    metrics_alert_rules: OfficialRuleFileFormat
    log_alert_rules: OfficialRuleFileFormat
    dashboards: list[str]
    metrics_scrape_jobs: list[Job]
    log_slots: list[str]
    subordinate: bool | None = None
    tracing_protocols: list[str] | None = None


NOTHING = Provider(metrics_alert_rules={}, log_alert_rules={}, dashboards=[], metrics_scrape_jobs=[], log_slots=[])


class Peer(peer.Peer):
    """Either side."""

    interface = "cos_agent"

    def require(self, relation):
        relation.data[self.unit]["receivers"] = json.dumps([])  # it takes no traces
        published = {unit.name: relation.data[unit].get("config") for unit in relation.units}
        return {name: collected(Provider.model_validate_json(text)) for name, text in published.items() if text}

    def provide(self, relation):
        relation.data[self.unit]["config"] = NOTHING.model_dump_json()


def collected(provider):
    """What a collector takes over from a unit."""
    rules = [rule for group in provider.metrics_alert_rules["groups"] for rule in group["rules"]]
    configs = [(job.metrics_path, config) for job in provider.metrics_scrape_jobs for config in job.static_configs]
    dashboards = [json.loads(LZMABase64.decompress(dashboard)) for dashboard in provider.dashboards]
    return {
        "targets": [f"{target}{path}" for path, config in configs for target in config.targets],
        "alerts": len(rules),
        "identifiers": sorted({topology_of(rule["labels"]).identifier for rule in rules}),
        "error": Rules("promql").inject_and_validate_rules(provider.metrics_alert_rules, {}).errmsg,
        "alerts about logs": provider.log_alert_rules,
        "slots of logs": provider.log_slots,
        "dashboards": {
            each["title"]: {"has a uid for all": DashboardPath40UID.is_valid(each["uid"])} for each in dashboards
        },
    }


def topology_of(labels):
    """Whom a rule is about, by the labels that every rule carries."""
    return cosl.JujuTopology.from_dict({
        "model": labels["juju_model"],
        "model_uuid": labels["juju_model_uuid"],
        "application": labels["juju_application"],
        "charm_name": labels["juju_charm"],
    })


if __name__ == "__main__":
    ops.main(Peer)
