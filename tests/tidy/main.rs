//! The rules of the house, checked by reading the files.

mod commands;
mod dependencies;
mod deployment;
mod documents;
mod sources;
mod tree;
