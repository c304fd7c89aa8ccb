"""One side of relations of one interface, in a charm of ops: what each of the programs about an interface shares."""

import ops

import report


class Peer(ops.CharmBase):
    """In each hook, deals with all relations of its interface, and reports by endpoint what it has understood."""

    interface = None

    def __init__(self, framework):
        super().__init__(framework)
        self.endpoints = {
            name: declared.role == ops.RelationRole.provides
            for name, declared in self.meta.relations.items()
            if declared.interface_name == self.interface
        }
        # Before anything else observes an event, so that a library has dealt with it when it is asked about it.
        self.libraries = {name: self.library(name, is_provider) for name, is_provider in self.endpoints.items()}
        for name, source in self.on.events().items():
            if not issubclass(source.event_type, (ops.CollectStatusEvent, ops.CollectMetricsEvent)):
                framework.observe(source, self._on_any)

    def _on_any(self, event):
        understood = {}
        for name, is_provider in self.endpoints.items():
            act = self.provide if is_provider else self.require
            understood.update({name: act(relation) for relation in self.model.relations[name]})
        report.write(understood)
        self.unit.status = ops.ActiveStatus()

    def library(self, name, is_provider):
        """The library of an endpoint, if it is one that observes events itself."""

    def provide(self, relation):
        """Writes as the provider, and returns what it has read of the requirer."""
        raise NotImplementedError

    def require(self, relation):
        """Writes as the requirer, and returns what it has read of the provider."""
        raise NotImplementedError
