use serde_json::Value;

use super::*;

/// A hook of the Python charm that had a certificate.
const RECORDED: &str = include_str!("../../../../tests/vectors/falcosidekick/certificates_4_issued_again.json");

/// What the Python charm kept in this key of one of its secrets.
fn recorded(key: &str) -> String {
    let vector: Value = serde_json::from_str(RECORDED).unwrap();
    let secrets = vector["input"]["secrets"].as_array().unwrap();
    let text = secrets.iter().find_map(|secret| secret["latest_content"][key].as_str());
    text.unwrap_or_else(|| panic!("no secret with {key}")).to_owned()
}

fn names(all: &[&str]) -> BTreeSet<Name> {
    all.iter().map(|name| Name::of_host(name).unwrap()).collect()
}

#[test]
fn a_request_has_the_names_and_the_key_it_was_made_with() {
    let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let wanted = names(&["sidekick.prod.svc.cluster.local", "10.152.183.7", "fd00::1"]);
    let request = Request::from_pem(&key.request("sidekick-0", &wanted).unwrap().pem()).unwrap();
    assert_eq!(request.names, wanted);
    assert!(request.is_of(&key) && !request.is_of(&other));
}

#[test]
fn two_requests_for_the_same_are_two() {
    for key in [Key::generate().unwrap(), Key::from_pem(&recorded("private-key")).unwrap()] {
        let wanted = names(&["a.example"]);
        assert_ne!(key.request("a", &wanted).unwrap(), key.request("a", &wanted).unwrap());
    }
}

#[test]
fn a_key_reads_back_as_it_was_written() {
    let key = Key::generate().unwrap();
    let again = Key::from_pem(key.pem().expose()).unwrap();
    assert_eq!((key.public_key(), key.pem()), (again.public_key(), again.pem()));
    assert!(key.pem().expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(!format!("{key:?}").contains("BEGIN"));
}

#[test]
fn the_rsa_key_of_the_python_charm_goes_on_with_its_request_and_certificate() {
    let key = Key::from_pem(&recorded("private-key")).unwrap();
    let certificate = Certificate::from_pem(&recorded("certificate")).unwrap();
    let request = Request::from_pem(&recorded("csr")).unwrap();
    assert!(certificate.is_of(&key) && request.is_of(&key) && !certificate.is_authority);
    assert!(request.names.contains(&Name::of_host("10.152.183.7").unwrap()), "{:?}", request.names);
    assert_eq!(certificate.names, request.names);
    assert!(certificate.subject.contains("CN=unit-0") && certificate.issuer.contains("CN=test-ca"));
    assert_eq!(time_text(certificate.not_before), "2026-11-23T06:00:07Z");
    assert!(!certificate.is_self_issued());
    let again = key.request("unit-0", &certificate.names).unwrap();
    assert!(again.is_of(&key) && again != request);
}

#[test]
fn what_stands_beside_a_certificate_is_lost() {
    let certificate = recorded("certificate");
    let odd = format!("listen: 1\n{}\nnonsense", certificate.replace('\n', "\r\n"));
    let read = Certificate::from_pem(&odd).unwrap();
    assert_eq!(read.pem().trim(), certificate.trim());
    assert_eq!(bundle(&Certificate::all(&format!("{odd}{odd}"))).matches("BEGIN").count(), 2);
}

#[test]
fn texts_that_are_something_else_are_refused_without_being_repeated() {
    let (key, certificate) = (recorded("private-key"), recorded("certificate"));
    assert!(Certificate::from_pem(&key).is_err() && Request::from_pem(&certificate).is_err());
    let cut = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for text in ["", "garbage", "-----BEGIN", cut, &cut.replace("aGV", "?"), "\u{0}\u{1}"] {
        assert!(Certificate::from_pem(text).is_err() && Request::from_pem(text).is_err(), "{text}");
        assert!(Certificate::all(text).is_empty(), "{text}");
    }
    let secret = key.replace("RSA PRIVATE", "hunter2");
    let error = Key::from_pem(&secret).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    for text in ["", "garbage", &certificate, &cut.replace("CERTIFICATE", "PRIVATE KEY")] {
        assert!(Key::from_pem(text).is_err(), "{text}");
    }
}

#[test]
fn hosts_of_all_kinds_are_names_and_other_texts_are_none() {
    for (text, name) in [("LB.example.com", "lb.example.com"), ("10.1.2.3", "10.1.2.3"), ("[fd00::1]", "fd00::1")] {
        assert_eq!(Name::of_host(text).unwrap().to_string(), name);
    }
    for text in ["", " ", "a b", "a/b", "user@h", "h:80", "[", "fd00::zz", "bücher.example"] {
        assert_eq!(Name::of_host(text), None, "{text}");
    }
}
