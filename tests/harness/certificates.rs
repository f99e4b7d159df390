//! Certificates, made by openssl.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::tools::run_to_end;

/// An authority, and a folder for each holder of a certificate that it has signed: tls.crt, tls.key and ca.crt.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// An authority that has signed nothing yet.
    pub fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let authority = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
                         -addext keyUsage=critical,keyCertSign,cRLSign";
        openssl(folder.path(), &format!("{authority} -keyout DIR/ca.key -out DIR/ca.crt"))?;
        Ok(Self(folder))
    }

    /// The folder of a holder.
    #[must_use]
    pub fn folder(&self, holder: &str) -> PathBuf {
        self.0.path().join(holder)
    }

    /// A file of a holder.
    #[must_use]
    pub fn path(&self, holder: &str, file: &str) -> PathBuf {
        self.folder(holder).join(file)
    }

    /// A certificate for `name`, as openssl writes it: `IP:10.0.0.7`.
    pub fn issue(&self, holder: &str, name: &str) -> Result<()> {
        let folder = self.0.path();
        fs::create_dir(folder.join(holder))?;
        fs::copy(folder.join("ca.crt"), folder.join(holder).join("ca.crt"))?;
        let names = format!("subjectAltName={name}\nextendedKeyUsage=serverAuth,clientAuth\n");
        fs::write(folder.join(holder).join("names"), names)?;
        let at = format!("DIR/{holder}");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=holder";
        openssl(folder, &format!("req {key} -keyout {at}/tls.key -out {at}/tls.csr"))?;
        let signed = "-CA DIR/ca.crt -CAkey DIR/ca.key -CAcreateserial -days 1";
        openssl(folder, &format!("x509 -req -in {at}/tls.csr {signed} -extfile {at}/names -out {at}/tls.crt"))
    }
}

fn openssl(folder: &Path, command: &str) -> Result<()> {
    let command = command.replace("DIR", &folder.display().to_string());
    let arguments: Vec<&str> = command.split_whitespace().collect();
    let output = run_to_end(Path::new("openssl"), &arguments)?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
