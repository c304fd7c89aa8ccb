"""`tls-certificates` by the library of its makers, which self-signed-certificates and others sign with."""

import datetime

import ops
from charmlibs.interfaces import tls_certificates as tls
from cryptography import x509

import peer
import report

AUTHORITY = "authority"
VALID = datetime.timedelta(days=90)


class Peer(peer.Peer):
    """Either side: an authority that signs whatever it is asked for, or a unit that asks for itself."""

    interface = "tls-certificates"

    def library(self, name, is_provider):
        if is_provider:
            capabilities = tls.ProviderCapabilities(supports_ip_sans=True, provider_type="self-signed")
            return tls.TLSCertificatesProvidesV4(self, name, capabilities)
        given = report.given()
        names = {"sans_dns": set(given["DNS"]), "sans_ip": set(given["IP"])}
        wanted = tls.CertificateRequestAttributes(common_name=given["common name"], **names)
        return tls.TLSCertificatesRequiresV4(self, name, [wanted])

    def provide(self, relation):
        library, (authority, key) = self.libraries[relation.name], self._authority()
        for asked in library.get_outstanding_certificate_requests(relation.id):
            request = asked.certificate_signing_request
            certificate = request.sign(authority, key, VALID, is_ca=asked.is_ca)
            chain = [certificate, authority]
            answer = tls.ProviderCertificate(relation.id, certificate, request, authority, chain)
            library.set_relation_certificate(answer)
        return {
            "requests": [of_request(asked) for asked in library.get_certificate_requests(relation.id)],
            "signed": len(library.get_issued_certificates(relation.id)),
        }

    def require(self, relation):
        return None

    def _authority(self):
        """Made in the first hook that needs it, and kept in Juju."""
        try:
            kept = self.model.get_secret(label=AUTHORITY).get_content()
            return tls.Certificate.from_string(kept["certificate"]), tls.PrivateKey.from_string(kept["private-key"])
        except ops.SecretNotFoundError:
            key = tls.PrivateKey.generate()
            attributes = tls.CertificateRequestAttributes(common_name="the authority of the model", is_ca=True)
            certificate = tls.Certificate.generate_self_signed_ca(attributes, key, VALID)
            self.app.add_secret({"certificate": str(certificate), "private-key": str(key)}, label=AUTHORITY)
            return certificate, key


def of_request(asked):
    """A request as the library has understood it."""
    request = asked.certificate_signing_request
    return {
        "common name": request.common_name,
        "DNS": sorted(request.sans_dns),
        "IP": sorted(request.sans_ip),
        "OID": sorted(request.sans_oid),
        "for an authority": asked.is_ca,
        "told from others": request.has_unique_identifier,
        "valid": tls.CertificateRequestAttributes.from_csr(request, asked.is_ca).is_valid(),
        # The library leaves this to whoever signs.
        "signed with its key": x509.load_pem_x509_csr(request.raw.encode()).is_signature_valid,
    }


if __name__ == "__main__":
    ops.main(Peer)
