"""What cosl makes of the alert rules of a charm, and of a dashboard in a databag. Takes one JSON object, prints one.

cosl leaves the placeholder of the topology out of an expression, and adds matchers with a program that is not packed in charms; so the
matchers are put in its place here, as they would stand there afterwards.
"""

import json
import pathlib
import sys
import tempfile

from cosl import JujuTopology
from cosl.rules import AlertRules, Rules
from cosl.utils import LZMABase64

given = json.load(sys.stdin)
topology = JujuTopology.from_dict(given["topology"])
matchers = ",".join(f'{label}="{value}"' for label, value in topology.label_matcher_dict.items() if label != "juju_charm")
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "rules.yaml"
    path.write_text(given["rules"].replace("%%juju_topology%%", matchers))
    rules = AlertRules(given["language"], topology)
    rules.add_path(folder)
judged = Rules(given["language"]).inject_and_validate_rules(given["written"], given["topology"])
json.dump(
    {
        "groups": rules.as_dict()["groups"],
        "error": judged.errmsg,
        "dashboards": [json.loads(LZMABase64.decompress(dashboard)) for dashboard in given["dashboards"]],
    },
    sys.stdout,
)
