//! What stands between a request and the object server, as paste would load it: `[pipeline:main]` and its filters.

use std::collections::BTreeMap;

use ssync_conf::{Conf, ConfError};

use super::options::Scope;

const SECTION: &str = "pipeline:main";
/// Where Swift's filters are, by the two ways to name one.
const ENTRY_POINT: &str = "egg:swift#";
const MODULE: &str = "swift.common.middleware.";

/// A filter that is served here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// `/healthcheck`.
    Healthcheck,
    /// `/recon/...`.
    Recon,
    /// The limit on requests into a device.
    BackendRatelimit,
}

impl Filter {
    const ALL: [Self; 3] = [Self::Healthcheck, Self::Recon, Self::BackendRatelimit];

    const fn scope(self) -> Scope {
        match self {
            Self::Healthcheck => Scope::Healthcheck,
            Self::Recon => Scope::Recon,
            Self::BackendRatelimit => Scope::BackendRatelimit,
        }
    }

    /// Its name among Swift's, which is that of its section as well unless an operator thinks otherwise.
    fn name(self) -> &'static str {
        self.scope().section().trim_start_matches("filter:")
    }

    /// The one that a section's `use` or `paste.filter_factory` means.
    fn of(factory: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| {
            factory.strip_prefix(ENTRY_POINT) == Some(filter.name())
                || factory.strip_prefix(MODULE).and_then(|rest| rest.split_once(':'))
                    == Some((filter.name(), "filter_factory"))
        })
    }
}

/// The filters, and the sections that they and the object server are set by.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// In the order that a request meets them.
    pub(super) filters: Vec<Filter>,
    /// Where it is not the usual one.
    sections: BTreeMap<Scope, String>,
    /// What is asked for and not to be had.
    pub(super) warnings: Vec<String>,
}

impl Pipeline {
    /// The pipeline of a file; all filters where there is none, since nobody said that they are not wanted.
    pub(super) fn of(conf: Option<&Conf>) -> Result<Self, ConfError> {
        let mut pipeline =
            Self { filters: Filter::ALL.to_vec(), sections: BTreeMap::new(), warnings: Vec::new() };
        let Some(conf) = conf else { return Ok(pipeline) };
        let Some(section) = conf.find(SECTION)? else { return Ok(pipeline) };
        let Some(entry) = section.get("pipeline") else { return Ok(pipeline) };
        pipeline.filters.clear();
        let mut names: Vec<&str> = entry.value().split_whitespace().collect();
        if let Some(app) = names.pop() {
            pipeline.sections.insert(Scope::Server, format!("app:{app}"));
        }
        for name in names {
            let at = format!("{}: [{SECTION}] {name}", entry.origin());
            pipeline.add(conf, name, &at)?;
        }
        Ok(pipeline)
    }

    fn add(&mut self, conf: &Conf, name: &str, at: &str) -> Result<(), ConfError> {
        let section = format!("filter:{name}");
        let said = conf.factory(&section)?;
        let factory = said.as_ref().map_or(name, |entry| entry.value().trim());
        match Filter::of(factory) {
            Some(filter) if self.filters.contains(&filter) => {
                self.warnings.push(format!("{at}: it is there already; the first one counts"));
            }
            Some(filter) => {
                self.filters.push(filter);
                self.sections.insert(filter.scope(), section);
            }
            None => self.warnings.push(format!(
                "{at}: no such filter here ({factory:?}); requests go on as if it were not in the pipeline"
            )),
        }
        Ok(())
    }

    /// The section that options of this scope are read from.
    pub(super) fn section(&self, scope: Scope) -> &str {
        self.sections.get(&scope).map_or(scope.section(), String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Pipeline {
        Pipeline::of(Some(&Conf::parse(text, "x.conf").unwrap())).unwrap()
    }

    #[test]
    fn the_filters_are_those_of_the_pipeline_in_its_order() {
        let text = "[pipeline:main]\npipeline = limit  recon object-server\n[filter:limit]\nuse = egg:swift#backend_ratelimit\n[filter:recon]\npaste.filter_factory = swift.common.middleware.recon:filter_factory\n[filter:healthcheck]\nuse = egg:swift#healthcheck";
        let pipeline = of(text);
        assert_eq!(pipeline.filters, [Filter::BackendRatelimit, Filter::Recon]);
        assert_eq!(pipeline.section(Scope::BackendRatelimit), "filter:limit");
        assert_eq!(pipeline.section(Scope::Recon), "filter:recon");
        assert_eq!(pipeline.section(Scope::Server), "app:object-server");
        assert_eq!(pipeline.warnings, Vec::<String>::new());
        assert_eq!(of("[pipeline:main]\npipeline = store").section(Scope::Server), "app:store");
        assert_eq!(of("[pipeline:main]\npipeline = object-server").filters, []);
    }

    #[test]
    fn a_file_without_a_pipeline_has_them_all() {
        assert_eq!(of("[DEFAULT]\nbind_port = 1").filters, Filter::ALL);
    }

    #[test]
    fn filters_that_are_not_here_are_warned_about() {
        let text = "[pipeline:main]\npipeline = xprofile recon lost recon object-server\n[filter:xprofile]\nuse = egg:swift#xprofile\n[filter:recon]\nuse = egg:swift#recon";
        let pipeline = of(text);
        assert_eq!(pipeline.filters, [Filter::Recon]);
        let [profile, lost, twice] = &pipeline.warnings[..] else { panic!("{:?}", pipeline.warnings) };
        assert!(profile.contains("x.conf:2") && profile.contains("\"egg:swift#xprofile\""), "{profile}");
        assert!(lost.contains("[pipeline:main] lost: no such filter"), "{lost}");
        assert!(twice.contains("it is there already"), "{twice}");
    }
}
