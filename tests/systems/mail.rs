//! To a mail server, which is a double.

use charm_tests::falco_host::eventually;
use charm_tests::mail_server::MailServer;

use crate::sidekick::{SECRET, Sidekick};

#[test]
#[ignore = "of make test-systems"]
fn an_alert_is_a_mail_to_everybody_who_is_named() {
    let server = MailServer::start();
    let outputs = format!(
        "smtp: {{hostport: '127.0.0.1:{}', from: falco@example.com, to: 'a@example.com,b@example.com', tls: false, \
         user: u, password: 'secret:{SECRET}/password', outputformat: text}}",
        server.port()
    );
    let sidekick = Sidekick::with_outputs(&outputs);
    let mark = sidekick.alert();
    let mail = eventually("the mail", || server.mails().into_iter().next());
    assert_eq!(mail.commands[1], "AUTH PLAIN AHUAaHVudGVyMmh1bnRlcjI=", "{mail:?}");
    assert!(mail.commands[2].starts_with("MAIL FROM:<falco@example.com>"), "{mail:?}");
    assert_eq!(mail.commands[3..], ["RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"]);
    assert!(mail.lines[0].starts_with("Subject: [Warning] Sensitive file opened"), "{mail:?}");
    assert!(mail.lines.iter().any(|line| *line == format!("mark: {mark}")), "{mail:?}");
    assert_eq!(server.mails().len(), 1);
    // Falcosidekick counts no mails in its metrics.
    eventually("the line about the mail", || sidekick.log().contains("SMTP - Sent OK").then_some(()));
    assert_eq!(sidekick.counters("smtp"), (0, 0));
}
