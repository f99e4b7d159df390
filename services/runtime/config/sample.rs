//! The commented sample file, made from the table of options.

use super::options::{OptionSpec, Scope, TABLES};

const WIDTH: usize = 78;

const HEAD: &str = "\
# A sample of object-server.conf for ssync. Stock Swift can be started with the
# same file: it ignores [ssync], and ssync reads Swift's own sections as Swift
# does. Every line that is commented out shows a default.
#
# Any option can also be set from outside of this file: by a variable
# (SSYNC_DEVICES, SSYNC_REPLICATOR_INTERVAL) or, stronger still, by a flag
# (--set devices=/srv/node, --set replicator.interval=5). `ssync config show`
# prints each value with the place that it comes from.
#
# In [app:...] and [filter:...] a name that stands in [DEFAULT] as well is
# changed by `set NAME = VALUE`; without the word `set` it is skipped there.

";

/// The whole sample.
#[must_use]
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    for scope in Scope::ALL {
        if scope == Scope::Server {
            text.push_str(
                "[pipeline:main]\npipeline = healthcheck recon backend_ratelimit object-server\n\n",
            );
        }
        text.push_str(&section(scope));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(scope: Scope) -> String {
    let mut text = format!("[{}]\n", scope.section());
    match scope {
        Scope::Server => text.push_str("use = egg:swift#object\n"),
        Scope::Healthcheck => text.push_str("use = egg:swift#healthcheck\n"),
        Scope::Recon => text.push_str("use = egg:swift#recon\n"),
        Scope::BackendRatelimit => text.push_str("use = egg:swift#backend_ratelimit\n"),
        Scope::Node | Scope::Replicator | Scope::Ssync => {}
    }
    text.push_str("#\n");
    TABLES.iter().flat_map(|table| table.iter()).filter(|spec| spec.scope == scope).for_each(|spec| {
        text.push_str(&option(spec));
    });
    text.push('\n');
    text
}

fn option(spec: &OptionSpec) -> String {
    let mut sentence = spec.doc.trim().to_owned();
    if let Some(when) = spec.live {
        sentence.push_str(&format!(" SIGHUP changes it {when}."));
    }
    if let Some(why) = spec.unused {
        sentence.push_str(&format!(" Accepted, but changes nothing: {why}."));
    }
    let comment: String = wrap(&sentence).iter().map(|line| format!("# {line}\n")).collect();
    format!("{comment}# {} = {}\n#\n", spec.name, spec.default).replace(" = \n", " =\n")
}

/// The words of a text in lines that fit behind a `# `.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() + 2 <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
