"""`falcosidekick_http_endpoint` by a pydantic model that ops itself saves and loads, each field as JSON."""

import ops
import pydantic

import peer
import report


class Provider(pydantic.BaseModel):
    """What the provider publishes."""

    url: pydantic.AnyHttpUrl


class Peer(peer.Peer):
    """Either side."""

    interface = "falcosidekick_http_endpoint"

    def provide(self, relation):
        if self.unit.is_leader():
            relation.save(Provider(url=report.given()["url"]), self.app)
        return {"app": dict(relation.data[relation.app])}

    def require(self, relation):
        if "url" not in relation.data[relation.app]:
            return None
        return {"url": str(relation.load(Provider, relation.app).url)}


if __name__ == "__main__":
    ops.main(Peer)
