//! `ssync man`: the manual, a page for each command.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap_mangen::Man;

use crate::{cli::ManArgs, examples, exit};

/// Writes all pages into a folder, or the first one to standard output.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.dir {
        Some(dir) => {
            let pages =
                write_all(dir).with_context(|| format!("pages cannot be written into {}", dir.display()))?;
            println!("{} pages are in {}.", pages.len(), dir.display());
        }
        None => Man::new(examples::command()).render(&mut io::stdout())?,
    }
    Ok(exit::OK.into())
}

/// `ssync.1`, and `ssync-COMMAND.1` for each.
fn write_all(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let mut root = examples::command();
    root.build();
    let mut pages = vec![dir.join("ssync.1")];
    fs::write(&pages[0], page(root.clone())?)?;
    for command in
        root.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        // As `build` has it: `ssync-COMMAND`.
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, page(command.clone())?)?;
        pages.push(path);
    }
    Ok(pages)
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command)
        .manual("ssync")
        .source(format!("ssync {}", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn pages_have_no_warnings() {
        let folder = tempfile::tempdir().unwrap();
        let pages = write_all(folder.path()).unwrap();
        assert!(pages.len() > 10 && folder.path().join("ssync-verify.1").exists(), "{pages:?}");
        for page in &pages {
            let text = fs::read_to_string(page).unwrap();
            assert!(text.contains(".SH NAME") && text.contains("ssync"), "{text}");
            let name = page.file_name().unwrap().to_str().unwrap();
            assert!(name == "ssync.1" || text.contains("Examples:"), "{name} has no examples");
            let checked = Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(page).output();
            match checked {
                Ok(checked) => {
                    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
                    assert!(checked.status.success() && said.is_empty(), "{name}: {said}");
                }
                Err(error) => println!("groff is not here ({error}): {name} was not formatted"),
            }
        }
    }
}
