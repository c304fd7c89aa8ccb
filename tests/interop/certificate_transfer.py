"""`certificate_transfer` by the library of its makers."""

import ops
from charmlibs.interfaces.certificate_transfer import CertificateTransferProvides, CertificateTransferRequires

import peer
import report


class Peer(peer.Peer):
    """Either side: somebody who says whom to believe, or somebody who is told."""

    interface = "certificate_transfer"

    def library(self, name, is_provider):
        return CertificateTransferProvides(self, name) if is_provider else CertificateTransferRequires(self, name)

    def provide(self, relation):
        self.libraries[relation.name].add_certificates(set(report.given()["certificates"]), relation.id)
        # By this the library decides in which version it answers.
        return {"version": relation.data[relation.app].get("version")}

    def require(self, relation):
        library = self.libraries[relation.name]
        return {"ready": library.is_ready(relation), "certificates": sorted(library.get_all_certificates(relation.id))}


if __name__ == "__main__":
    ops.main(Peer)
