"""One side of relations of one interface, in a charm of ops: what each of the programs about an interface shares."""

import ops

import report


class Peer(ops.CharmBase):
    """In each hook, deals with all relations of its interface, and reports by endpoint what it has understood."""

    interface = None

    def __init__(self, framework):
        super().__init__(framework)
        for name, source in self.on.events().items():
            if not issubclass(source.event_type, (ops.CollectStatusEvent, ops.CollectMetricsEvent)):
                framework.observe(source, self._on_any)

    def _on_any(self, event):
        understood = {}
        for name, declared in self.meta.relations.items():
            if declared.interface_name == self.interface:
                act = self.provide if declared.role == ops.RelationRole.provides else self.require
                understood.update({name: act(relation) for relation in self.model.relations[name]})
        report.write(understood)
        self.unit.status = ops.ActiveStatus()

    def provide(self, relation):
        """Writes as the provider, and returns what it has read of the requirer."""
        raise NotImplementedError

    def require(self, relation):
        """Writes as the requirer, and returns what it has read of the provider."""
        raise NotImplementedError
