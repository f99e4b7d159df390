//! A shell in which commands of documents can be given: what they call is on the path, and names, addresses and folders that they
//! speak of are replaced by those of a cluster.

use std::{
    env, fs,
    os::unix::fs::symlink,
    process::{Command as Process, Output, Stdio},
};

use anyhow::{Context as _, Result};
use ssync_tests::{ssync_binary, venv_program};
use tempfile::TempDir;

/// Such a shell.
pub(crate) struct Scene {
    tools: TempDir,
    /// What is written in documents, and what stands for it here; the longest first.
    stands_for: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Scene {
    pub(crate) fn new(stands_for: &[(&str, String)], variables: &[(&str, String)]) -> Result<Self> {
        let tools = TempDir::new()?;
        symlink(ssync_binary()?, tools.path().join("ssync"))?;
        let grpcurl = venv_program("grpcurl")?;
        if grpcurl.exists() {
            symlink(grpcurl, tools.path().join("grpcurl"))?;
        }
        fs::create_dir(tools.path().join("work"))?;
        let owned =
            |pairs: &[(&str, String)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), b.clone())).collect();
        let mut stands_for: Vec<(String, String)> = owned(stands_for);
        stands_for.sort_by_key(|(written, _)| std::cmp::Reverse(written.len()));
        Ok(Self { tools, stands_for, variables: owned(variables) })
    }

    /// The command as it is given here. What was put in is not looked at again.
    pub(crate) fn here(&self, text: &str) -> String {
        let mut given = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some((written, here)) =
                self.stands_for.iter().find(|(written, _)| rest.starts_with(written))
            {
                given.push_str(here);
                rest = &rest[written.len()..];
            } else {
                let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
                given.push_str(&rest[..next]);
                rest = &rest[next..];
            }
        }
        given
    }

    /// Gives it to a shell, in a folder that the scene's commands share.
    pub(crate) fn give(&self, text: &str) -> Result<Said> {
        let given = self.here(text);
        let path = format!("{}:{}", self.tools.path().display(), env::var("PATH").unwrap_or_default());
        let output: Output = Process::new("timeout")
            .args(["-k", "5", "120", "bash", "-c", &given])
            .current_dir(self.tools.path().join("work"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .with_context(|| given.clone())?;
        let text =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        eprintln!("--- {given} ({:?})\n{text}", output.status.code());
        Ok(Said { code: output.status.code(), text })
    }
}
