//! The API of Kubernetes around the charm: the real one, and a double of it that plays recorded answers.

pub mod double;
pub mod real;

use std::fs;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Where both answer.
pub const ADDRESS: &str = "127.0.0.1";

/// Where Kubernetes puts what a pod needs to talk to it.
pub const CREDENTIALS: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// Puts into a pod what Kubernetes puts there.
pub fn mount_credentials(root: &Path, namespace: &str, authority: &str, token: &str) {
    let folder = root.join(CREDENTIALS);
    fs::create_dir_all(&folder).expect("the folder of a service account");
    for (name, text) in [("ca.crt", authority), ("token", token), ("namespace", namespace)] {
        fs::write(folder.join(name), text).expect("a file of a service account");
    }
}

/// The variables by which a pod finds the API server.
pub fn variables(port: u16) -> [(&'static str, String); 3] {
    [
        ("KUBERNETES_SERVICE_HOST", ADDRESS.to_owned()),
        ("KUBERNETES_SERVICE_PORT", port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", port.to_string()),
    ]
}

/// A certificate for the address, and its key, as PEM.
fn certificate() -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([ADDRESS.to_owned()]).expect("a certificate");
    (cert.pem(), signing_key.serialize_pem())
}
