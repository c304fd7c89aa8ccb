//! What an operator may set an option to: good values, and bad ones that a unit has to survive.

use charm_tests::juju::State;
use serde_json::{Value, json};

use super::Life;
use super::secrets::KEY;

/// A rule that Falco takes, and that never matches.
fn rule(name: &str) -> String {
    format!(
        "- rule: {name}\n  desc: of a life\n  condition: evt.type = open and proc.name = nobody\n  output: seen\n  priority: WARNING\n  tags: [life]\n"
    )
}

/// Sets one option, in the state that the controller has of it. An option that is taken away has its default.
fn set(state: &mut State, option: &str, value: Option<Value>) {
    match value {
        Some(value) => state.config.insert(option.to_owned(), value),
        None => state.config.remove(option),
    };
}

impl Life {
    /// The operator sets one option to something. Tells what.
    pub fn wish(&mut self) -> String {
        let any = OPTIONS[self.rng.usize(..OPTIONS.len())];
        // Nobody leaves a mistake for long, and a unit with one does little.
        let mistake = self.mistakes.iter().next().copied().filter(|_| self.chance(60));
        let (option, is_good) = (mistake.unwrap_or(any), mistake.is_some() || self.chance(70));
        if is_good {
            self.mistakes.remove(option)
        } else {
            self.mistakes.insert(option)
        };
        let value = if is_good { self.good(option) } else { Some(self.bad(option)) };
        let told = format!("{option}: {}", value.as_ref().map_or_else(|| "(default)".to_owned(), Value::to_string));
        set(&mut self.state, option, value);
        if option == "custom-config-repository" && is_good {
            // Whoever names a repository says how it is reached.
            self.reach_repository();
        }
        told
    }

    /// All options that are bad get values that are good.
    pub fn wish_well(&mut self) {
        for option in OPTIONS {
            let value = self.good(option);
            set(&mut self.state, option, value);
        }
        self.reach_repository();
    }

    fn reach_repository(&mut self) {
        if !self.state.config.contains_key("custom-config-repository") {
            return;
        }
        if self.state.secrets.is_empty() {
            let (key, _) = self.repository.new_key();
            self.secrets.set_key(&mut self.state, &key);
        }
        let known_hosts = self.repository.known_hosts.clone();
        set(&mut self.state, "custom-config-repo-ssh-key", Some(json!(format!("secret:{KEY}"))));
        set(&mut self.state, "custom-config-repo-known-hosts", Some(json!(known_hosts)));
    }

    fn good(&mut self, option: &str) -> Option<Value> {
        let number = self.rng.u8(..4);
        if number == 0 && option != "metrics-port" {
            return None;
        }
        let of = |values: [Value; 3]| Some(values[usize::from(number.max(1)) - 1].clone());
        match option {
            "priority" => of(["debug", "warning", "error"].map(Value::from)),
            "metrics-port" => Some(json!(self.ports[usize::from(number % 2)])),
            "engine" => of(["modern_ebpf", "modern_ebpf", "nodriver"].map(Value::from)),
            "memory-limit" => of(["512M", "1G", "infinity"].map(Value::from)),
            "buffer-size-preset" => of([3, 4, 5].map(Value::from)),
            "drop-failed-exit" | "syslog-output" | "default-rules" => Some(json!(number.is_multiple_of(2))),
            "rules" => of([rule("Mine"), rule("Yours"), String::new()].map(Value::from)),
            "disabled-rules" => of(["Read sensitive*", "tag:filesystem", "No such rule"].map(Value::from)),
            "extra-labels" => of(["team=blue", "team=red, site=a", "site=b"].map(Value::from)),
            "falco-config" => {
                of(["json_include_message_property: true", "buffered_outputs: true", "outputs_queue: {capacity: 900}"]
                    .map(Value::from))
            }
            "custom-config-repository" => Some(json!(self.repository.url())),
            _ => unreachable!("{option} is none of OPTIONS"),
        }
    }

    fn bad(&mut self, option: &str) -> Value {
        match option {
            "metrics-port" | "buffer-size-preset" => json!([0, -1, 70_000][self.rng.usize(..3)]),
            "drop-failed-exit" | "syslog-output" | "default-rules" => json!(self.rng.bool()),
            "rules" => {
                let texts = [
                    "- rule: [\n",
                    "- rule: Broken\n  desc: d\n  condition: no.such_field = 1\n  output: o\n  priority: WARNING\n",
                    "nonsense",
                ];
                json!(texts[self.rng.usize(..texts.len())])
            }
            "falco-config" => {
                let texts =
                    ["webserver: {enabled: false}", "a: [", "program_output: {enabled: true}", "json_output: [1]"];
                json!(texts[self.rng.usize(..texts.len())])
            }
            "custom-config-repository" => {
                let texts = [
                    "ftp://git.example.com/x",
                    "git+ssh://git@git.example.com/no/such/place",
                    "git+ssh://git@unknown.example.com/x",
                ];
                json!(texts[self.rng.usize(..texts.len())])
            }
            "extra-labels" => json!("team=50%"),
            "disabled-rules" => json!("tag:*"),
            _ => json!("loud %n $HOME ${HOME} \"'"),
        }
    }
}

const OPTIONS: [&str; 13] = [
    "priority",
    "metrics-port",
    "engine",
    "memory-limit",
    "buffer-size-preset",
    "drop-failed-exit",
    "syslog-output",
    "default-rules",
    "rules",
    "disabled-rules",
    "extra-labels",
    "falco-config",
    "custom-config-repository",
];
