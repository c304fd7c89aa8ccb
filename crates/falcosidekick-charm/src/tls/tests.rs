use charm_core::interfaces::tls_certificates::{Refusal, RefusalError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use time::OffsetDateTime;

use super::*;

/// Now.
pub const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 60 * 60;

/// Who signs.
pub type Issuer = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn root() -> Issuer {
    CertifiedIssuer::self_signed(params("root"), KeyPair::generate().unwrap()).unwrap()
}

fn between(root: &Issuer) -> Issuer {
    CertifiedIssuer::signed_by(params("between"), KeyPair::generate().unwrap(), root).unwrap()
}

/// A certificate for this request that began so many days ago and ends in so many.
fn sign(request: &str, issuer: &Issuer, days: (i64, i64)) -> String {
    let mut params = CertificateSigningRequestParams::from_pem(request).unwrap();
    let at = |days: i64| OffsetDateTime::from_unix_timestamp(NOW + days * DAY).unwrap();
    (params.params.not_before, params.params.not_after) = (at(-days.0), at(days.1));
    params.signed_by(issuer).unwrap().pem()
}

fn answer(request: &str, issuer: &Issuer, days: (i64, i64)) -> Answer {
    Answer {
        ca: issuer.pem(),
        certificate_signing_request: request.to_owned(),
        certificate: sign(request, issuer, days),
        chain: None,
        revoked: None,
    }
}

fn names(told: &[&str]) -> Names {
    let told: BTreeSet<Name> = told.iter().filter_map(|host| Name::of_host(host)).collect();
    let all = told.iter().cloned().chain(Name::of_host("sidekick")).collect();
    Names { common: "sidekick-0".into(), all, told }
}

fn told() -> Names {
    names(&["10.152.183.7"])
}

/// The relation right after it was made.
pub fn new() -> Authority {
    Authority {
        relation: "3".parse().unwrap(),
        app: "ca".parse().unwrap(),
        published: Ok(None),
        asked: Databag::default(),
        key: None,
        stored: None,
    }
}

/// The same after a request for these names, and the request.
fn asked(names: &Names) -> (Authority, String) {
    let key = Key::generate().unwrap();
    let request = key.request("sidekick-0", &names.all).unwrap().pem();
    let asked = Requirer { requests: vec![request.clone()] }.write();
    (Authority { key: Some(key.pem().clone()), asked, ..new() }, request)
}

fn published(mut authority: Authority, answers: Vec<Answer>) -> Authority {
    authority.published = Ok(Some(Provider { answers, refusals: Vec::new() }));
    authority
}

/// The same after what was decided about secrets was done.
fn kept(mut authority: Authority) -> Authority {
    let steps = decide(&authority, &told(), 0, None, NOW).steps;
    authority.stored = steps.store.map(|store| store.content).or(authority.stored);
    authority
}

/// A unit that has its certificate and has kept it.
pub fn settled(days: (i64, i64)) -> (Authority, String, Issuer) {
    let (authority, request) = asked(&told());
    let issuer = root();
    let answers = vec![answer(&request, &issuer, days)];
    (kept(published(authority, answers)), request, issuer)
}

fn event(label: String) -> SecretEvent {
    SecretEvent { id: "secret:x".into(), label, revision: Some(1) }
}

fn text(tls: &Tls) -> String {
    tls.status.clone().unwrap().to_string()
}

#[test]
fn a_new_relation_asks_with_a_new_key_and_waits() {
    let tls = decide(&new(), &told(), 0, None, NOW);
    let ask = tls.steps.ask.as_ref().unwrap();
    assert_eq!((&ask.names, &ask.key), (&told().all, &None));
    assert!(tls.identity.is_none() && tls.is_awaited);
    assert_eq!(text(&tls), "waiting: certificates: waiting for ca to issue the certificate");
}

#[test]
fn a_request_that_is_not_answered_yet_is_waited_for_and_not_repeated() {
    let tls = decide(&asked(&told()).0, &told(), 0, None, NOW);
    assert_eq!(tls.steps, Steps::default());
    assert_eq!(text(&tls), "waiting: certificates: waiting for ca to issue the certificate");
}

#[test]
fn an_answer_is_served_and_kept_with_the_time_at_which_it_is_due() {
    let (authority, request) = asked(&told());
    let authority = published(authority, vec![answer(&request, &root(), (0, 100))]);
    let tls = decide(&authority, &told(), 0, None, NOW);
    let identity = tls.identity.unwrap();
    assert_eq!(Some(&identity.key), authority.key.as_ref());
    assert_eq!((identity.chain.len(), identity.authorities.len(), tls.status), (1, 1, None));
    let store = tls.steps.store.unwrap();
    assert_eq!(store.expire, x509::time_text(NOW + 90 * DAY));
    assert_eq!(store.content[REQUEST].expose(), request.trim());
    assert!(tls.steps.ask.is_none());
}

#[test]
fn a_settled_unit_has_nothing_to_do() {
    let (authority, ..) = settled((0, 100));
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert_eq!((tls.steps, tls.is_awaited, tls.status), (Steps::default(), false, None));
}

#[test]
fn the_chain_is_in_order_without_the_root_whatever_order_it_came_in() {
    let (authority, request) = asked(&told());
    let (root, leaf_to_root) = (root(), |mut texts: Vec<String>, is_turned: bool| {
        if is_turned {
            texts.reverse();
        }
        texts
    });
    let between = between(&root);
    for is_turned in [false, true] {
        let mut answer = answer(&request, &between, (0, 100));
        answer.ca = root.pem();
        let chain = vec![answer.certificate.clone(), between.pem(), root.pem(), "garbage".to_owned()];
        answer.chain = Some(leaf_to_root(chain, is_turned));
        let identity = decide(&published(authority.clone(), vec![answer]), &told(), 0, None, NOW).identity.unwrap();
        let subjects: Vec<&str> = identity.chain.iter().map(|certificate| certificate.subject.as_str()).collect();
        assert!(subjects.len() == 2 && subjects[0].contains("sidekick-0") && subjects[1].contains("between"));
        assert_eq!(identity.authorities.len(), 2, "whoever checks needs the root, too");
    }
}

#[test]
fn certificates_of_others_and_of_authorities_are_not_served() {
    let (authority, request) = asked(&told());
    let (_, other) = asked(&told());
    let issuer = root();
    let mut wrong_key = answer(&request, &issuer, (0, 100));
    wrong_key.certificate = sign(&other, &issuer, (0, 100));
    let mut of_authority = answer(&request, &issuer, (0, 100));
    of_authority.certificate = issuer.pem();
    let mut garbage = answer(&request, &issuer, (0, 100));
    garbage.certificate = "garbage".into();
    for answer in [answer(&other, &issuer, (0, 100)), wrong_key, of_authority, garbage] {
        let tls = decide(&published(authority.clone(), vec![answer]), &told(), 0, None, NOW);
        assert!(tls.identity.is_none() && tls.steps == Steps::default(), "{tls:?}");
    }
}

#[test]
fn names_that_callers_are_told_have_to_be_in_the_request_and_others_need_not() {
    let (authority, _, _) = settled((0, 100));
    let more = names(&["10.152.183.7", "lb.example.com"]);
    let tls = decide(&authority, &more, 0, None, NOW);
    let ask = tls.steps.ask.unwrap();
    assert_eq!((&ask.names, &ask.key), (&more.all, &authority.key));
    assert!(tls.identity.is_some() && tls.is_awaited, "what there is goes on meanwhile");

    let mut other = told();
    other.all.extend(Name::of_host("another.example"));
    assert_eq!(decide(&authority, &other, 0, None, NOW).steps, Steps::default());
    assert_eq!(decide(&authority, &names(&[]), 0, None, NOW).steps, Steps::default());
}

#[test]
fn another_key_asks_anew_and_what_the_old_one_had_is_not_served() {
    let (mut authority, ..) = settled((0, 100));
    authority.key = Some(Key::generate().unwrap().pem().clone());
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert_eq!(tls.steps.ask.unwrap().key, authority.key);
    assert!(tls.identity.is_none());

    authority.key = Some(Redacted::new("garbage".to_owned()));
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert!(tls.steps.ask.unwrap().key.is_none() && tls.identity.is_none());
}

#[test]
fn after_nine_tenths_of_its_life_a_certificate_is_renewed_once_and_goes_on_until_then() {
    let (authority, _, issuer) = settled((89, 11));
    assert_eq!(decide(&authority, &told(), 0, None, NOW).steps, Steps::default());
    let at = NOW + DAY;
    let tls = decide(&authority, &told(), 0, None, at);
    assert_eq!(tls.steps.ask.as_ref().unwrap().key, authority.key, "the same key");
    assert!(tls.identity.is_some() && tls.status.is_none());

    let request = Key::from_pem(authority.key.as_ref().unwrap().expose()).unwrap();
    let request = request.request("sidekick-0", &told().all).unwrap().pem();
    let renewed = Authority { asked: Requirer { requests: vec![request.clone()] }.write(), ..authority.clone() };
    let tls = decide(&renewed, &told(), 0, None, at);
    assert_eq!(tls.steps, Steps::default(), "asked for once");
    let old = authority.stored.as_ref().unwrap()[CERTIFICATE].expose();
    assert_eq!(&tls.identity.unwrap().leaf().pem(), old, "from the secret: the provider may have dropped it");

    let answered = published(renewed, vec![answer(&request, &issuer, (0, 100))]);
    let tls = decide(&answered, &told(), 0, None, at);
    assert_ne!(&tls.identity.unwrap().leaf().pem(), old);
    assert!(tls.steps.store.is_some());
}

#[test]
fn what_nobody_renews_is_remarked_when_a_twentieth_of_its_life_is_left() {
    let (authority, ..) = settled((90, 10));
    let remark = |days| decide(&authority, &told(), 0, None, NOW + days * DAY).remark;
    assert_eq!(remark(4), None);
    let end = x509::time_text(NOW + 10 * DAY);
    let text = format!("certificates: the certificate ends at {end}, and ca has not issued another one");
    assert_eq!(remark(5), Some(text));
    assert_eq!(remark(10), None, "it is not served any more, which is told as well");
}

#[test]
fn a_secret_that_is_due_renews_and_is_kept_until_the_end_of_its_certificate() {
    let (authority, ..) = settled((0, 100));
    let due = event(certificate_label(0));
    let steps = decide(&authority, &told(), 0, Some(&due), NOW).steps;
    assert!(steps.ask.is_some() && steps.remove.is_empty());
    assert_eq!(steps.postpone.unwrap().expire, x509::time_text(NOW + 100 * DAY));

    for label in [key_label(0), certificate_label(1), String::new()] {
        let steps = decide(&authority, &told(), 0, Some(&event(label)), NOW).steps;
        assert_eq!(steps, Steps::default());
    }
}

#[test]
fn the_secrets_of_the_python_charm_go_once_ours_is_kept_or_when_they_are_due() {
    let (authority, request) = asked(&told());
    let authority = published(authority, vec![answer(&request, &root(), (0, 100))]);
    let forgotten = decide(&authority, &told(), 0, None, NOW).steps.forget;
    let digest = Digest::of(request.trim());
    assert!(forgotten.contains(&format!("afd8c2bccf834997afce12c2706d2ede-certificate-0-{digest}")));

    let due = event(forgotten[0].clone());
    let steps = decide(&kept(authority), &told(), 0, Some(&due), NOW).steps;
    assert_eq!(steps.remove, [Remove { id: "secret:x".into(), revision: None }]);
    assert!(steps.ask.is_some() && steps.postpone.is_none());
}

#[test]
fn a_revoked_certificate_is_not_served_and_another_one_is_asked_for() {
    let (mut authority, _, _) = settled((0, 100));
    let Ok(Some(provider)) = &mut authority.published else { panic!() };
    provider.answers[0].revoked = Some(true);
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert!(tls.identity.is_none() && tls.is_revoked && tls.steps.ask.is_some());
    assert_eq!(text(&tls), "waiting: certificates: ca revoked the certificate; waiting for another one");
}

#[test]
fn an_expired_certificate_is_told_with_its_time() {
    let (authority, ..) = settled((100, -1));
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert!(tls.identity.is_none() && !tls.is_revoked && tls.steps.ask.is_some());
    let end = x509::time_text(NOW - DAY);
    assert_eq!(
        text(&tls),
        format!("waiting: certificates: the certificate expired at {end}; waiting for ca to issue another one")
    );
}

#[test]
fn a_refusal_of_our_request_is_told_in_the_words_of_the_authority_and_one_of_others_is_not() {
    let (mut authority, request) = asked(&told());
    let error = RefusalError {
        code: 101,
        name: "IP_NOT_ALLOWED".into(),
        message: "no addresses, please".into(),
        reason: None,
        provider: None,
        endpoint: None,
    };
    let refused = |csr: String| Provider { answers: vec![], refusals: vec![Refusal { csr, error: error.clone() }] };
    authority.published = Ok(Some(refused(request)));
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert_eq!(text(&tls), "blocked: certificates: ca refused the request: IP_NOT_ALLOWED: no addresses, please");
    assert!(tls.steps.ask.is_none(), "the same request would be refused again");

    authority.published = Ok(Some(refused(asked(&told()).1)));
    assert!(text(&decide(&authority, &told(), 0, None, NOW)).starts_with("waiting: "));
}

#[test]
fn garbage_of_the_authority_blocks_and_what_was_kept_goes_on() {
    let (mut authority, ..) = settled((0, 100));
    authority.published = Provider::read(&[("certificates", "garbage")].into_iter().collect());
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert!(text(&tls).starts_with("blocked: certificates: ca published certificates \"garbage\": "), "{tls:?}");
    assert!(tls.identity.is_some() && tls.steps == Steps::default());
}

#[test]
fn with_the_relation_go_the_key_the_certificate_and_what_the_python_charm_kept() {
    let (authority, request) = asked(&told());
    let steps = forget_all(0, &authority.asked);
    assert_eq!(steps.forget[..2], [certificate_label(0), key_label(0)]);
    assert!(steps.forget.contains(&python_labels(0, &request)[0]) && steps.forget.len() == 4);
}

#[test]
fn revisions_that_nobody_reads_go_if_they_are_ours() {
    assert!(forget_revision(&event(certificate_label(0))).is_some());
    assert!(forget_revision(&event("somebody's".into())).is_none());
}

#[test]
fn no_key_is_shown() {
    let (authority, ..) = settled((0, 100));
    let tls = decide(&authority, &told(), 0, None, NOW);
    assert!(!format!("{authority:?} {tls:?}").contains("PRIVATE KEY"));
}
