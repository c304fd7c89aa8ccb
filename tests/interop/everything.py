"""A charm that reads or writes everything that Juju has, through ops: its option `do` says what.

Nothing here is compared. What ops makes of the answers is reported as plain data, and what it writes is left in Juju:
the test says what both have to be.
"""

import datetime
import logging

import ops

import report

logger = logging.getLogger(__name__)

# Every other event is observed.
OF_OPS_ITSELF = (ops.CollectStatusEvent, ops.CollectMetricsEvent)


def attempt(read):
    """What was read, or as what ops reports that it could not be."""
    try:
        return read()
    except Exception as error:  # whatever it is, it is the answer
        return f"{type(error).__module__}.{type(error).__name__}"


def of_event(event):
    """The event as ops has understood it."""
    seen = {"kind": type(event).__name__}
    if isinstance(event, ops.RelationEvent):
        seen["relation"] = f"{event.relation.name}:{event.relation.id}"
        seen["app"] = event.app.name
        seen["unit"] = event.unit.name if event.unit else None
    if isinstance(event, ops.RelationDepartedEvent):
        seen["departing"] = event.departing_unit.name if event.departing_unit else None
    if isinstance(event, ops.RelationBrokenEvent):
        seen["active"] = event.relation.active
    if isinstance(event, ops.SecretEvent):
        seen["secret"] = event.secret.id
        seen["label"] = event.secret.label
    if isinstance(event, (ops.SecretExpiredEvent, ops.SecretRemoveEvent)):
        seen["revision"] = event.revision
    if isinstance(event, ops.StorageEvent):
        seen["storage"] = f"{event.storage.name}/{event.storage.index}"
        seen["location"] = str(event.storage.location)
    if isinstance(event, ops.WorkloadEvent):
        seen["container"] = event.workload.name
    if isinstance(event, ops.PebbleNoticeEvent):
        seen["notice"] = [event.notice.id, str(event.notice.type), event.notice.key]
    if isinstance(event, (ops.PebbleCheckFailedEvent, ops.PebbleCheckRecoveredEvent)):
        seen["check"] = event.info.name
    if isinstance(event, ops.ActionEvent):
        seen["params"] = event.params
        seen["has an id"] = bool(event.id)
    return seen


def of_network(network):
    """A network as ops has understood it."""
    return {
        "interfaces": [[interface.name, str(interface.address), str(interface.subnet)] for interface in network.interfaces],
        "bind": network.bind_address and str(network.bind_address),
        "ingress": network.ingress_address and str(network.ingress_address),
        "egress": [str(subnet) for subnet in network.egress_subnets],
    }


def of_secret(secret):
    """A secret of somebody else, without tracking another revision of it."""
    return {"id": secret.id, "label": secret.label, "content": secret.get_content(), "latest": secret.peek_content()}


def of_own_secret(secret):
    """A secret of this application or unit."""
    info = secret.get_info()
    return {
        "id": info.id,
        "label": info.label,
        "revision": info.revision,
        "expires": info.expires and info.expires.isoformat(),
        "rotation": info.rotation and info.rotation.value,
        "description": getattr(info, "description", None),
        "content": secret.peek_content(),
    }


class Everything(ops.CharmBase):
    """Reports every event, and does what it is told."""

    stored = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self.stored.set_default(hooks=0, last=None)
        for name, source in self.on.events().items():
            if not issubclass(source.event_type, OF_OPS_ITSELF):
                framework.observe(source, self._on_any)

    def _on_any(self, event):
        seen = of_event(event)
        self.stored.hooks += 1
        understood = {"event": seen, "stored": [self.stored.hooks, self.stored.last]}
        self.stored.last = seen["kind"]
        if isinstance(event, ops.ActionEvent):
            self._act(event)
        else:
            doing = {"read": self._read, "write": self._write, "refused": self._refused, "reboot": self._reboot}
            understood.update(doing[self.config["do"]]() or {})
        report.write(understood)

    def _relation(self, relation):
        mine = [self.app, self.unit]
        theirs = [relation.app, *sorted(relation.units, key=lambda unit: unit.name)]
        return {
            "app": relation.app.name,
            "units": sorted(unit.name for unit in relation.units),
            "model": attempt(lambda: relation.remote_model.uuid),
            "address": attempt(lambda: str(self.model.get_binding(relation).network.bind_address)),
            "data": {entity.name: attempt(lambda: dict(relation.data[entity])) for entity in [*mine, *theirs]},
        }

    def _read(self):
        model = self.model
        endpoints = sorted(self.meta.relations)
        bindings = [*endpoints, *sorted(self.meta.extra_bindings), "juju-info"]
        token = self.config.get("token")
        return {
            "app": self.app.name,
            "unit": self.unit.name,
            "leader": self.unit.is_leader(),
            "model": [model.name, model.uuid],
            "config": dict(self.config),
            "relations": {
                name: {relation.id: self._relation(relation) for relation in model.relations[name]} for name in endpoints
            },
            "networks": {name: attempt(lambda: of_network(model.get_binding(name).network)) for name in bindings},
            "ports": sorted([port.protocol, port.port] for port in self.unit.opened_ports()),
            "planned units": attempt(self.app.planned_units),
            "resource": attempt(lambda: model.resources.fetch("bundle").read_text()),
            "storages": {
                name: [[storage.index, str(storage.location)] for storage in storages]
                for name, storages in model.storages.items()
            },
            "status": [self.unit.status.name, self.unit.status.message],
            "app status": attempt(lambda: [self.app.status.name, self.app.status.message]),
            "token": token and attempt(lambda: of_secret(model.get_secret(id=token, label="token"))),
            "own": attempt(lambda: of_own_secret(model.get_secret(label="own"))),
            "cloud": attempt(lambda: self._cloud(model.get_cloud_spec())),
        }

    def _cloud(self, spec):
        return {
            "type": spec.type,
            "name": spec.name,
            "region": spec.region,
            "endpoint": spec.endpoint,
            "auth": spec.credential.auth_type,
            "attributes": spec.credential.attributes,
            "certificates": spec.ca_certificates,
        }

    def _write(self):
        expires = datetime.datetime(2042, 5, 17, 12, 30, tzinfo=datetime.timezone.utc)
        if self.unit.is_leader():
            self.app.status = ops.ActiveStatus("the application")
            for relation in self.model.relations["db"]:
                relation.data[self.app].update({"json": '{"a": "ü \\u2603"}', "gone": ""})
        for relation in self.model.relations["db"]:
            bag = relation.data[self.unit]
            bag["plain"] = "a=b c"
            bag.pop("gone", None)
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logger.log(level, "at level %s: %s", level, "-- 'x'\n\"ü\"")
        self.unit.set_ports(ops.Port("tcp", 80), ops.Port("udp", 53))
        self.unit.set_workload_version("1.2.3-ü")
        self.model.storages.request("data", 2)
        if self.unit.is_leader():
            shared = self.app.add_secret(
                {"user-name": "ü\n", "password": "-- 'x' \"y\""},
                label="shared",
                description="what it is for",
                expire=expires,
                rotate=ops.SecretRotate.MONTHLY,
            )
            for relation in self.model.relations["db"]:
                shared.grant(relation)
            own = self.model.get_secret(label="own")
            own.set_content({"key": "second"})
            own.set_info(description="described later", rotate=ops.SecretRotate.NEVER)
            for relation in self.model.relations["web"]:
                own.grant(relation, unit=sorted(relation.units, key=lambda unit: unit.name)[0])
            self.model.get_secret(label="superfluous").remove_all_revisions()
            revoked = self.model.get_secret(label="revoked")
            for relation in self.model.relations["db"]:
                revoked.revoke(relation)
            if revoked.get_info().revision > 1:
                revoked.remove_revision(1)
        self.unit.add_secret({"key": "of the unit"}, label="private")
        self.unit.status = ops.MaintenanceStatus("between")
        self.unit.status = ops.BlockedStatus("db: 'wait' – \"ü\"")

    def _refused(self):
        model = self.model
        db, gone = model.relations["db"][0], model.get_relation("db", 99)
        return {
            "no such secret": attempt(lambda: model.get_secret(id="secret:9m4e2mr0ui3e8a215n40").get_content()),
            "no such label": attempt(lambda: model.get_secret(label="unheard of").get_content()),
            "a secret without a grant": attempt(lambda: model.get_secret(id=self.config["token"]).get_content()),
            "an app's bag that only the leader reads": attempt(lambda: dict(db.data[self.app])),
            "an app's bag that only the leader writes": attempt(lambda: db.data[self.app].update({"a": "b"})),
            "a bag of nobody": attempt(lambda: dict(gone.data[self.unit])),
            "units of nobody": attempt(lambda: sorted(unit.name for unit in gone.units)),
            "network of nobody": attempt(lambda: model.get_binding("nothing").network),
            "a resource that is not attached": attempt(lambda: model.resources.fetch("bundle")),
            "a cloud without trust": attempt(model.get_cloud_spec),
            "a status of the application": attempt(lambda: setattr(self.app, "status", ops.ActiveStatus())),
            "a port on two protocols": attempt(lambda: self.unit.open_port("sctp", 80)),
            "a storage that is not declared": attempt(lambda: model.storages.request("more", 1)),
            "a secret of the application": attempt(lambda: self.app.add_secret({"key": "value"}).id),
        }

    def _reboot(self):
        self.unit.reboot()

    def _act(self, event):
        event.log("on its way: -- 'x' ü")
        event.set_results({"text": event.params["text"], "nested": {"deep": {"number": 1}, "flat": "=a=b"}})
        if event.params.get("fail"):
            event.fail(event.params["fail"])


if __name__ == "__main__":
    # In the controller, so that state-get and state-set are played as well.
    ops.main(Everything, use_juju_for_storage=True)
