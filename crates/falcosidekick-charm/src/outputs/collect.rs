//! Brings together what an operator wrote into `outputs`, what is in the secrets that it names, and what is in
//! `outputs-secret`, by the places of the [`table`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use charm_core::config::{Problem, Problems, RawConfig};
use charm_core::secret::SecretError;

use super::block::{Block, Key, Kind};
use super::check::Raw;
use super::secrets::{self, Reference};
use super::yaml::{self, Node, Tree};
use super::{OUTPUTS, OUTPUTS_SECRET, Place, Surroundings, table};

/// Keys at the top of Falcosidekick's configuration that are no outputs, and what to use instead.
const ELSEWHERE: [(&str, &str); 7] = [
    ("customfields", "use the option custom-fields"),
    ("templatedfields", "use the option templated-fields"),
    ("customtags", "use the option custom-tags"),
    ("listenport", "use the option port"),
    ("listenaddress", "the charm listens on all addresses"),
    ("tlsserver", "use the relation certificates"),
    ("debug", "it would write every event into the log"),
];

/// What was given.
#[derive(Default)]
pub struct Collected {
    /// By place.
    pub given: BTreeMap<Place, Given>,
    /// What comes from a secret that cannot be read.
    pending: BTreeSet<Place>,
    /// Blocks that were named, whatever is in them.
    named: BTreeSet<&'static str>,
    /// Whether `outputs-secret` cannot be read: then everything may be in it.
    all_pending: bool,
}

/// A value and where it came from.
pub struct Given {
    /// The value.
    pub raw: Raw,
    /// Whether all of it, but for the names in a map, came from secrets.
    pub is_secret: bool,
    /// The secrets that some of it came from, as the options name them.
    pub from: BTreeSet<String>,
}

impl Collected {
    /// Collects. What is wrong goes to `problems`.
    pub fn of(raw: &RawConfig, around: &Surroundings<'_>, problems: &mut Problems) -> Self {
        let mut reader = Reader { around, problems, unread: BTreeSet::new(), collected: Self::default() };
        let text = reader.problems.catch(raw.get::<String>(OUTPUTS)).flatten().unwrap_or_default();
        match yaml::parse(&text) {
            Ok(Some(Node { value: Tree::Map(entries), .. })) => reader.walk("", &entries),
            Ok(Some(_)) => reader.complain("is not a YAML map of outputs".into()),
            Ok(None) => {}
            Err(problem) => reader.complain(problem),
        }
        if secrets::wanted(raw).len() == secrets::MOST {
            reader.check_number(raw);
        }
        if let Some(id) = secrets::outputs_secret(raw) {
            reader.read_secret(&id);
        }
        reader.collected
    }

    /// Was this key given, and not as an empty text?
    pub fn is_given(&self, path: &str, key: &str) -> bool {
        let given = self.given.iter().find(|((block, name), _)| *block == path && *name == key);
        given.is_some_and(|(_, given)| !matches!(&given.raw, Raw::Text(text) if text.is_empty()))
    }

    /// May this key be in a secret that cannot be read?
    pub fn is_pending(&self, path: &str, key: &str) -> bool {
        self.all_pending || self.pending.iter().any(|(block, name)| *block == path && *name == key)
    }

    /// May any key of this block be in a secret that cannot be read?
    pub fn has_pending(&self, path: &str) -> bool {
        self.all_pending || self.pending.iter().any(|(block, _)| *block == path)
    }

    /// Was this block named?
    pub fn names(&self, path: &str) -> bool {
        self.named.contains(path)
    }

    /// Was a block below this one named?
    pub fn names_below(&self, path: &str) -> bool {
        self.all_pending
            || self.named.iter().any(|named| named.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }
}

struct Reader<'a, 'b> {
    around: &'a Surroundings<'a>,
    problems: &'b mut Problems,
    /// Secrets whose trouble was told already.
    unread: BTreeSet<String>,
    collected: Collected,
}

impl Reader<'_, '_> {
    fn complain(&mut self, text: String) {
        self.problems.push(Problem::new(OUTPUTS, text));
    }

    fn walk(&mut self, above: &str, entries: &[(String, Node)]) {
        for (name, node) in entries {
            let name = name.to_lowercase();
            let place = if above.is_empty() { name } else { format!("{above}.{name}") };
            let is_above = table::has_blocks_below(&place) || table::has_keys_below(&place);
            let found = table::key(&place);
            match (&node.value, found) {
                (_, Some((block, key))) => self.take(block, key, node),
                (Tree::Map(entries), None) if table::block(&place).is_some() || is_above => {
                    self.collected.named.extend(table::block(&place).map(|block| block.path));
                    self.walk(&place, entries);
                }
                (_, None) if table::block(&place).is_some() || is_above => {
                    self.complain(format!("{place}: is not a map of its keys"));
                }
                (_, None) => {
                    // It may have been meant for an output.
                    let above_it = table::block(above).filter(|block| table::has_blocks_below(block.path));
                    self.collected.pending.extend(above_it.map(|block| (block.path, "")));
                    self.complain(unknown(above, &place));
                }
            }
        }
    }

    fn take(&mut self, block: &'static Block, key: &'static Key, node: &Node) {
        let place = format!("{}.{}", block.path, key.name);
        self.collected.named.insert(block.path);
        let mut secrets = Origin::default();
        let mut resolve = |this: &mut Self, node: &Node| match &node.value {
            Tree::Scalar(text) => this.resolve(&place, key, text, &mut secrets),
            Tree::Null => Err(Some("has no value".to_owned())),
            Tree::List(_) | Tree::Map(_) => Err(Some("is nested deeper than it can be".to_owned())),
        };
        let raw = match &node.value {
            Tree::List(items) => items.iter().map(|item| resolve(self, item)).collect::<Result<_, _>>().map(Raw::List),
            Tree::Map(entries) => {
                let texts = entries.iter().map(|(name, value)| Ok((name.clone(), resolve(self, value)?)));
                texts.collect::<Result<_, _>>().map(Raw::Map)
            }
            Tree::Scalar(_) | Tree::Null => resolve(self, node).map(Raw::Text),
        };
        match raw {
            Ok(raw) => {
                let Origin { from, plain } = secrets;
                let is_secret = !from.is_empty() && plain == 0;
                drop(self.collected.given.insert((block.path, key.name), Given { raw, is_secret, from }));
            }
            Err(problem) => {
                self.collected.pending.insert((block.path, key.name));
                if let Some(text) = problem {
                    self.complain(format!("{place}: {text}"));
                }
            }
        }
    }

    /// Follows a reference to a secret. `Err(None)`: the trouble was told already.
    fn resolve(&mut self, place: &str, key: &Key, text: &str, origin: &mut Origin) -> Result<String, Option<String>> {
        let Some(reference) = Reference::parse(text) else {
            origin.plain += 1;
            return Ok(text.to_owned());
        };
        origin.from.insert(text.to_owned());
        let Reference { id, key: name } = reference.map_err(|problem| Some(problem.to_owned()))?;
        match self.around.secrets.get(id) {
            // One of too many, of which is told elsewhere.
            None => Err(None),
            Some(Ok(content)) => match content.get(name) {
                Some(value) => text_of(key, value.expose()).map_err(|problem| Some(problem.to_owned())),
                None => Err(Some(format!("{} {name}", secrets::problem(id, SecretError::NoKey, self.around.app)))),
            },
            Some(Err(error)) => {
                let problem = secrets::problem(id, *error, self.around.app);
                if self.unread.insert(id.to_owned()) {
                    self.complain(format!("{place}: {problem}"));
                }
                Err(None)
            }
        }
    }

    fn read_secret(&mut self, id: &str) {
        let content = match self.around.secrets.get(id) {
            Some(Ok(content)) => content,
            Some(Err(error)) => {
                self.collected.all_pending = true;
                let problem = secrets::problem(id, *error, self.around.app);
                if self.unread.insert(id.to_owned()) {
                    self.problems.push(Problem::new(OUTPUTS_SECRET, problem));
                }
                return;
            }
            None => {
                self.collected.all_pending = true;
                return;
            }
        };
        for (name, value) in content {
            if let Err(problem) = self.take_from_secret(name, value.expose()) {
                self.problems.push(Problem::new(OUTPUTS_SECRET, format!("{name}: {problem}")));
            }
        }
    }

    fn take_from_secret(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let (block, key, entry) = secrets::place(name).ok_or("is no key of an output, as in slack-webhookurl")?;
        let text = text_of(key, value)?;
        self.collected.named.insert(block.path);
        let place = (block.path, key.name);
        let from = BTreeSet::from([OUTPUTS_SECRET.to_owned()]);
        match (entry, self.collected.given.get_mut(&place)) {
            (None, None) => {
                drop(self.collected.given.insert(place, Given { raw: Raw::Text(text), is_secret: true, from }));
            }
            (Some(entry), None) => {
                let raw = Raw::Map(vec![(entry.to_owned(), text)]);
                drop(self.collected.given.insert(place, Given { raw, is_secret: true, from }));
            }
            // Headers differ in capitals only by name.
            (Some(entry), Some(Given { raw: Raw::Map(entries), from: known, .. })) => {
                if entries.iter().any(|(name, _)| name.eq_ignore_ascii_case(entry)) {
                    return Err("stands in outputs as well");
                }
                entries.push((entry.to_owned(), text));
                known.extend(from);
            }
            (_, Some(_)) => return Err("stands in outputs as well"),
        }
        Ok(())
    }

    fn check_number(&mut self, raw: &RawConfig) {
        let mut unknown = Vec::new();
        let text = raw.get::<String>(OUTPUTS).ok().flatten().unwrap_or_default();
        if let Ok(Some(root)) = yaml::parse(&text) {
            unknown.extend(secrets::all(&root).into_iter().filter(|id| !self.around.secrets.contains_key(id)));
        }
        unknown.extend(secrets::outputs_secret(raw).filter(|id| !self.around.secrets.contains_key(id)));
        if !unknown.is_empty() {
            self.complain(format!("names more than {} secrets; put several values into one", secrets::MOST));
        }
    }
}

/// Where the texts of a value came from.
#[derive(Default)]
struct Origin {
    /// Secrets.
    from: BTreeSet<String>,
    /// How many came from none.
    plain: usize,
}

/// A value of a secret as text. Juju keeps the line feed at the end of a file that a secret was made from.
fn text_of(key: &Key, value: &str) -> Result<String, &'static str> {
    // Juju puts this character in the place of bytes that are no text.
    if value.contains('\u{fffd}') {
        return Err("is not text in UTF-8");
    }
    let is_long = matches!(key.kind, Kind::Pem | Kind::Template);
    Ok(if is_long { value.to_owned() } else { value.trim_end_matches(['\r', '\n']).to_owned() })
}

fn unknown(above: &str, place: &str) -> String {
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == place);
    if let Some((_, instead)) = elsewhere {
        return format!("{place}: is no output; {instead}");
    }
    let last = place.rsplit('.').next().unwrap_or_default();
    let is_like = |name: &str| name.contains(last) || last.contains(name);
    let near = match table::block(above) {
        Some(block) => block.all_keys().map(|key| key.name).find(|name| is_like(name)),
        None => table::blocks().map(|block| block.path).find(|path| is_like(path)),
    };
    let what = if table::block(above).is_some() { "there is no such key" } else { "there is no such output" };
    let hint = near.filter(|_| last.len() > 2).map(|near| format!("; is {near} meant?")).unwrap_or_default();
    format!("{}: {what}{hint}", charm_core::status::one_line(place, 80))
}
