//! The rules of the house, checked by reading the files.

mod dependencies;
mod documents;
mod sources;
mod tree;
