"""`grafana_dashboard` by cosl, which has the encoding. The rest is read as a charm of Grafana does."""

import json

import ops

import peer
from cosl.grafana_dashboard import DashboardPath40UID
from cosl.utils import LZMABase64


class Peer(peer.Peer):
    """The side of Grafana. The other one has nothing of its own to say beside dashboards."""

    interface = "grafana_dashboard"

    def require(self, relation):
        bag = relation.data[relation.app]
        if "dashboards" not in bag:
            return None
        shown = {}
        for name, template in json.loads(bag["dashboards"])["templates"].items():
            dashboard = json.loads(LZMABase64.decompress(template["content"]))
            shown[name] = {
                "charm": template["charm"],
                "inject_dropdowns": template.get("inject_dropdowns", True),
                "title": dashboard["title"],
                "has a uid for all": DashboardPath40UID.is_valid(dashboard["uid"]),
                "version": dashboard["version"],
            }
        return shown

    def provide(self, relation):
        return None


if __name__ == "__main__":
    ops.main(Peer)
